# iapeer: build, check, install. `make help` lists the targets.

CARGO  ?= cargo
SYSTEM ?= $(shell uname)
TARGET  = $(or $(CARGO_TARGET_DIR),target)

# Where things go. DESTDIR goes before all of it, for packages; it is in no installed file.
PREFIX   ?= $(HOME)/.local
BINDIR   ?= $(PREFIX)/bin
MANDIR   ?= $(PREFIX)/share/man/man1
DOCDIR   ?= $(PREFIX)/share/doc/iapeer
BASHDIR  ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR   ?= $(PREFIX)/share/zsh/site-functions
FISHDIR  ?= $(PREFIX)/share/fish/vendor_completions.d
PLISTDIR ?= $(PREFIX)/share/iapeer/plists
# Examples of <root>/notify.
NOTIFYDIR ?= $(PREFIX)/share/iapeer/notify
# systemd looks for user units in lib below /usr and /usr/local, but in share below a home.
UNITDIR  ?= $(PREFIX)/$(if $(filter $(HOME)/%,$(PREFIX)),share,lib)/systemd/user

# Where a C library can be linked in, it is, and at fixed addresses: such a program starts in half the time, and these
# programs are started for every message. musl's, where `rustup target add` has put Rust's library for it: programs with
# glibc in them are a third larger, and ask the processor what it is at each start, which takes long in a virtual machine.
# The target has to be named, or cargo would build its own helpers so too.
RUSTC  := $(firstword $(CARGO:cargo=rustc))
HOST   := $(shell $(RUSTC) -vV | sed -n 's/^host: //p')
MUSL   := $(filter %-linux-musl,$(HOST:gnu=musl))
LIBC_A := $(filter /%,$(shell cc -print-file-name=libc.a 2>/dev/null))
ifneq (,$(and $(MUSL),$(wildcard $(shell $(RUSTC) --print target-libdir --target $(or $(MUSL),none) 2>/dev/null)/libstd-*)))
STATIC_TARGET = $(MUSL)
# The C of a dependency includes nothing of the C library: without musl's own compiler the machine's does as well.
STATIC_CC     = $(if $(shell command -v musl-gcc 2>/dev/null),,CC_$(subst -,_,$(MUSL))=cc)
else ifneq (,$(and $(findstring linux-gnu,$(HOST)),$(LIBC_A)))
STATIC_TARGET = $(HOST)
endif
ifneq (,$(STATIC_TARGET))
STATIC  = $(STATIC_CC) RUSTFLAGS="$(RUSTFLAGS) -C target-feature=+crt-static -C relocation-model=static \
          -C link-arg=-Wl,-T,$(CURDIR)/tools/no-unwinding.ld"
FOR     = --target $(STATIC_TARGET)
RELEASE = $(TARGET)/$(STATIC_TARGET)/release
else
RELEASE = $(TARGET)/release
endif

# Every page in src/bin is a program.
PROGRAMS = $(patsubst src/bin/%.rs,%,$(wildcard src/bin/*.rs)) \
           $(patsubst src/bin/%/main.rs,%,$(wildcard src/bin/*/main.rs))

# What tools/install reads. Not exported: a test that calls make itself would inherit it.
PLACES = $(foreach place,SYSTEM DESTDIR PREFIX BINDIR MANDIR DOCDIR BASHDIR ZSHDIR FISHDIR PLISTDIR NOTIFYDIR UNITDIR,$(place)="$($(place))")

.PHONY: all build test soak test-agents lint deny demo bench bench-hosts bench-large bench-agents check-macos install uninstall deb clean help

all: build

build: ## build the programs, optimised
	$(STATIC) $(CARGO) build --release --locked $(FOR)

test: ## run all tests (installs tmux, sshd, nats-server, ip and openssl where they are missing)
	tools/ensure tmux
	tools/ensure sshd openssh-server
	tools/ensure nats-server
	test $(SYSTEM) != Linux || tools/ensure ip iproute2
	tools/ensure openssl
	tools/test

soak: ## the long forms of the proofs: hours; prints the figures of docs/reliability.md (PARTS="storm people": these alone)
	tools/ensure tmux
	tools/ensure sshd openssh-server
	tools/ensure nats-server
	test $(SYSTEM) != Linux || tools/ensure ip iproute2
	tools/ensure openssl
	tools/soak $(PARTS)

test-agents: ## drive the real agent programs (npm, some 1.2 GB once, into a cache) against a stub
	tools/test-agents

lint: ## formatting, clippy, types for macOS, documentation, shell scripts, units, launchd agents, formula, workflow
	tools/lint

deny: ## advisories, licences and sources of the dependencies (cargo-deny, compiled once where it is missing)
	tools/deny

demo: ## see it work in a throw-away home (a debug build: the soonest to be there)
	tools/ensure tmux
	$(CARGO) build --locked
	$(TARGET)/debug/iapeer demo

bench: ## measure against the floor: safecat, bare tmux
	tools/ensure tmux
	tools/ensure safecat
	$(STATIC) $(CARGO) bench --locked --bench figures $(FOR)

bench-hosts: ## what a message to another host takes, by ssh and by NATS, all on this machine
	tools/ensure sshd openssh-server
	tools/ensure nats-server
	$(STATIC) $(CARGO) bench --locked --bench hosts $(FOR)

bench-large: ## the tick over 1,000 live sessions (some 4 GB of memory) and 10,000 sleeping peers
	tools/ensure tmux
	IAPEER_BENCH_LIVE=1000 IAPEER_BENCH_ASLEEP=10000 $(STATIC) $(CARGO) bench --locked --bench figures $(FOR) -- tick

bench-agents: ## cold wake and warm delivery of the real programs, to evidence, on this machine
	tools/test-agents bench

check-macos: ## type-check for macOS
	tools/check-macos

# BUILT=DIR installs the programs that are in DIR and builds none.
install: $(if $(BUILT),,build) ## install programs, manual, completions, units: PREFIX (~/.local), DESTDIR
	@$(PLACES) tools/install put "$(or $(BUILT),$(RELEASE))" $(PROGRAMS)
	@echo "iapeer is in $(DESTDIR)$(BINDIR). \`iapeer units install\` has $(if $(filter Darwin,$(SYSTEM)),launchd,systemd) run it."

uninstall: ## remove what install put there (same PREFIX); peers and their messages stay
	@$(PLACES) tools/install remove $(PROGRAMS)

deb: $(if $(BUILT),,build) ## a Debian package, in target/debian (by cargo-deb, installed where it is missing)
	tools/deb "$(or $(BUILT),$(RELEASE))" "$(TARGET)/debian"

clean: ## remove what was built
	$(CARGO) clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile
