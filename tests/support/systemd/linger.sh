#!/bin/bash
# As root: a user who lingers logs out, and the sessions stay; the same one without lingering.
# shellcheck disable=SC2016 # the words with a dollar are for the login
set -euo pipefail
here=$(dirname "$0")
user=wsuser
home=/home/$user
login() {
    systemd-run --system --quiet --pipe --wait --collect -p PAMName=with-systemd -p User=$user -p WorkingDirectory=$home \
        -p KillMode=control-group -E IAPEER_BIN="$IAPEER_BIN" -E PATH="$PATH" -- bash -c ". '$here/lib.sh'; $1"
}
user_manager() { systemctl is-active --quiet user@4242.service; }
loginctl enable-linger $user
until user_manager; do sleep 0.1; done
login 'parrot bob; iapeer units install >/dev/null; iapeer-wake bob; server parrot-bob >$HOME/before'
before=$(cat $home/before)
while loginctl list-sessions --no-legend | grep -q $user; do sleep 0.1; done
user_manager || { echo "FAILED: the manager of a lingering user ended"; exit 1; }
[ -d "/proc/$before" ] || { echo "FAILED: the session ended with the login"; exit 1; }
login 'is "$(server parrot-bob)" '"$before"' "the server after the next login"
    iapeer create alice --runtime parrot >/dev/null
    iapeer-send bob -m hello --from parrot-alice --require delivered
    is "$(server parrot-bob)" '"$before"' "the server after a message"
    iapeer units status | grep -q "lingering is off" && fail "it says that lingering is off" || true
    [ ! -s "$ROOT/logs/iapeer/exits.log" ] || fail "a death on record"'

# Without it the last logout ends everything, and what is recorded of that claims nothing wrong.
loginctl disable-linger $user
login 'iapeer units status | grep -q "lingering is off" || fail "it does not say that lingering is off"'
until ! user_manager; do sleep 0.1; done
[ ! -d "/proc/$before" ] || { echo "FAILED: the session outlived its user's manager"; exit 1; }
login 'systemctl --user start --wait iapeer-superviser.service
    cat "$ROOT/logs/iapeer/exits.log"
    causes=$(grep -o "cause=[a-z-]*" "$ROOT/logs/iapeer/exits.log" || true)
    is "$(wc -w <<<"$causes")" 1 "the number of causes on record"
    is "$causes" cause=unit-stopped "the cause"
    iapeer-send bob -m again --from parrot-alice --require delivered'
