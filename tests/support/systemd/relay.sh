#!/bin/bash
# The relay to other hosts by NATS is a unit: installed where there is a nats.json, back after a kill, and stopped clean.
# shellcheck source=tests/support/systemd/lib.sh
. "$(dirname "$0")/lib.sh"
unit=iapeer-relay.service
own=$HOME/.config/systemd/user
port=4222
mkdir "$HOME/store"
printf 'listen: "127.0.0.1:%s"\njetstream { store_dir: "%s" }\n' $port "$HOME/store" >"$HOME/nats.conf"
/usr/sbin/nats-server -c "$HOME/nats.conf" 2>"$HOME/nats.log" &
server=$!
trap 'explain $? || true; kill $server' EXIT
eventually "the server" grep -q 'Server is ready' "$HOME/nats.log"

# member ROOT NAME OTHER: a root with the person me that meets the other at the server.
member() {
    IAPEER_ROOT=$1 iapeer create me --runtime person >/dev/null
    echo "$2" >"$1/hostname"
    (umask 077; echo "{ \"url\": \"nats://127.0.0.1:$port\" }" >"$1/nats.json")
    IAPEER_ROOT=$1 iapeer host add "$3" --nats
}

# Where there is no nats.json the unit is left out.
iapeer create me --runtime person >/dev/null
iapeer units install >"$HOME/without"
[ ! -e "$own/$unit" ] || fail "a relay without nats.json"
iapeer remove me --force >/dev/null

member "$ROOT" laptop box
far=$HOME/far
mkdir -m 700 "$far"
member "$far" box laptop
IAPEER_ROOT=$far IAPEER_SERVICE_MANAGER=none iapeer-relay run >"$HOME/far.log" 2>&1 &
relay=$!
trap 'explain $? || true; kill $server $relay' EXIT

iapeer units install >"$HOME/installed"
is "$(show $unit ActiveState)" active "the unit after install"
is "$(systemctl --user is-enabled $unit)" enabled "the unit"
doctor_says() {
    iapeer doctor >"$HOME/found" || true
    grep -q "$1" "$HOME/found" || fail "doctor does not say '$1': $(cat "$HOME/found")"
}
got() { [ "$(IAPEER_ROOT=$far iapeer inbox me --all --json | wc -l)" = "$1" ]; }
pid() { show $unit MainPID; }
sends() { iapeer-send me@box --from me --require delivered -m "$1" >/dev/null || fail "sending $1"; }
sends one
holds got 1

# Killed, it comes back by itself, and what was sent meanwhile goes.
mkdir -p "$own/$unit.d"
printf '[Service]\nRestartSec=100ms\n' >"$own/$unit.d/test.conf"
systemctl --user daemon-reload
for n in 2 3; do
    was=$(pid)
    kill -9 "$was"
    iapeer-send me@box --from me --no-wait -m "$n" >/dev/null
    another() { local now; now=$(pid) && [ "$now" != 0 ] && [ "$now" != "$was" ]; }
    eventually "another relay after a kill" another
    eventually "what was sent meanwhile" got $n
done
is "$(show $unit NRestarts)" 2 "restarts"

# A wrong nats.json is no reason to go on for ever, and doctor names it; a right one is taken up.
chmod 644 "$ROOT/nats.json"
systemctl --user restart $unit || true
failed() { [ "$(show $unit ActiveState)" = failed ] && [ "$(show $unit ExecMainStatus)" = 77 ]; }
eventually "the unit to give up" failed
doctor_says 'nats.json.*chmod 600'
chmod 600 "$ROOT/nats.json"
systemctl --user reset-failed $unit
systemctl --user start $unit
sends four
holds got 4

# Stopped, it is gone, and has not failed.
was=$(pid)
systemctl --user stop $unit
is "$(show $unit ActiveState)" inactive "the unit after a stop"
is "$(show $unit Result)" success "the result of a stop"
holds gone "$was"
iapeer-send me@box --from me --no-wait -m five >/dev/null
doctor_says 'iapeer-relay run does not run, and 1 message'
systemctl --user start $unit
eventually "what waited" got 5

# Nothing of it is left.
was=$(pid)
iapeer units uninstall >/dev/null
holds gone "$was"
[ ! -e "$own/$unit" ] || fail "the unit's file is left"
