# What the scenarios share. Each runs as a throw-away user under a real user manager, with the programs under test in
# $IAPEER_BIN, and ends with a status other than 0 at the first thing that does not hold.
# shellcheck shell=bash
set -euo pipefail
PATH=$IAPEER_BIN:/usr/local/bin:/usr/bin:/bin
ROOT=$HOME/.iapeer
export PATH
trap 'explain $?' EXIT

explain() {
    [ "$1" != 0 ] || return 0
    echo "--- failed; what the machine knew:"
    systemctl --user list-units 'iapeer-*' --all --no-pager --no-legend || true
    journalctl --user --no-pager -o cat -n 60 -u 'iapeer-*' 2>/dev/null || true
    tail -n 30 "$ROOT"/logs/iapeer/*.log 2>/dev/null || true
}

fail() { echo "FAILED: $*"; exit 1; }
holds() { "$@" || fail "$*"; }
is() { [ "$1" = "$2" ] || fail "${3:-} is '$1', not '$2'"; }

# eventually WHAT COMMAND...: waits until COMMAND succeeds, for 30 s at most.
eventually() {
    local what=$1 end=$((SECONDS + ${PATIENCE:-30}))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "waited in vain for: $what"
        sleep 0.05
    done
}

show() { systemctl --user show "$1" -p "$2" --value; }
server() { sed -n 's/.*"server":{"pid":\([0-9]*\).*/\1/p' "$ROOT/state/lifecycle/$1.session"; }
# One read: a process may go between two. A zombie does not live.
lives() { grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null; }
gone() { ! lives "$1"; }
cgroup() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
up() { local pid; pid=$(server "$1") && [ -n "$pid" ] && lives "$pid"; }
# parrot NAME [VARIABLE=VALUE...]: a peer that records what it is told in $HOME/NAME.record.
parrot() {
    local name=$1
    shift
    iapeer create "$name" --runtime parrot >/dev/null
    mkdir -p "$ROOT/peers/$name/.iapeer/runtimes/parrot"
    printf '%s\n' "PARROT_RECORD=$HOME/$name.record" "$@" >"$ROOT/peers/$name/.iapeer/runtimes/parrot/launch.env"
}
told() { grep -q "$2" "$HOME/$1.record"; }
