# iapeer: build, check, install. `make help` lists the targets.

CARGO  ?= cargo
PREFIX ?= $(HOME)/.local
TARGET  = $(or $(CARGO_TARGET_DIR),target)
BINDIR  = $(DESTDIR)$(PREFIX)/bin

# Where the C library can be linked in, it is: such a program starts in two thirds of the time, and these programs
# are started for every message. The target has to be named, or cargo would build its own helpers so too.
HOST    = $(shell $(firstword $(CARGO:cargo=rustc)) -vV | sed -n 's/^host: //p')
LIBC_A  = $(filter /%,$(shell cc -print-file-name=libc.a 2>/dev/null))
ifneq (,$(and $(findstring linux-gnu,$(HOST)),$(LIBC_A)))
STATIC  = RUSTFLAGS="$(RUSTFLAGS) -C target-feature=+crt-static"
FOR     = --target $(HOST)
RELEASE = $(TARGET)/$(HOST)/release
else
RELEASE = $(TARGET)/release
endif

# Every page in src/bin is a program.
PROGRAMS = $(patsubst src/bin/%.rs,%,$(wildcard src/bin/*.rs)) \
           $(patsubst src/bin/%/main.rs,%,$(wildcard src/bin/*/main.rs))

.PHONY: all build test test-agents lint demo bench bench-large bench-agents check-macos install uninstall clean help

all: build

build: ## build the programs, optimised
	$(STATIC) $(CARGO) build --release --locked $(FOR)

test: ## run all tests (installs tmux where it is missing)
	tools/ensure tmux
	tools/test

test-agents: ## drive the real Codex and Claude Code (npm, some 800 MB once, into a cache) against a stub
	tools/test-agents

lint: ## formatting, clippy, documentation, shell scripts, units, launchd agents
	tools/lint

demo: ## see it work in a throw-away home (a debug build: the soonest to be there)
	tools/ensure tmux
	$(CARGO) build --locked
	$(TARGET)/debug/iapeer demo

bench: ## measure against the floor: safecat, bare tmux
	tools/ensure tmux
	tools/ensure safecat
	$(STATIC) $(CARGO) bench --locked --bench figures $(FOR)

bench-large: ## the tick over 1,000 live sessions (some 4 GB of memory) and 10,000 sleeping peers
	tools/ensure tmux
	IAPEER_BENCH_LIVE=1000 IAPEER_BENCH_ASLEEP=10000 $(STATIC) $(CARGO) bench --locked --bench figures $(FOR) -- tick

bench-agents: ## cold wake and warm delivery of the real programs, to evidence, on this machine
	tools/test-agents bench

check-macos: ## type-check for macOS
	tools/check-macos

install: ## install the programs into PREFIX/bin (PREFIX is ~/.local unless given)
	$(STATIC) $(CARGO) build --release --locked $(FOR)
	install -d "$(BINDIR)"
	set -e; for p in $(PROGRAMS); do install -m 755 "$(RELEASE)/$$p" "$(BINDIR)/$$p"; done

uninstall: ## remove the programs again; peers and their messages stay
	set -e; for p in $(PROGRAMS); do rm -f "$(BINDIR)/$$p"; done

clean: ## remove what was built
	$(CARGO) clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile
