#!/bin/bash
# iapeer connect telegram: the bridge is a unit that is up, that speaks, and that comes back after a kill of any part.
# shellcheck source=tests/support/systemd/lib.sh
. "$(dirname "$0")/lib.sh"
unit=iapeer-peer@telegram-me.service
token=7000001:AAstub-token_for_tests_of_iapeer
python3 "$(dirname "$0")/telegram_stub.py" >"$HOME/port" &
stub=$!
trap 'explain $? || true; kill $stub' EXIT
eventually "the stub" test -s "$HOME/port"
IAPEER_TELEGRAM_API=http://127.0.0.1:$(cat "$HOME/port")
export IAPEER_TELEGRAM_API

# control [ORDER]: gives the stub an order, or prints what it was told.
control() {
    python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1] + "/control", sys.argv[2].encode() or None).read().decode())' \
        "$IAPEER_TELEGRAM_API" "${1-}"
}
writes() { control '{"push":[{"message":{"message_id":5,"date":1,"chat":{"id":42,"type":"private"},"from":{"id":42},"text":"'"$1"'"}}]}' >/dev/null; }
shown() { control | grep -Fq "\"text\": \"$1\""; }
# The bridge: what the session runs.
bridge() { pgrep -P "$(server telegram-me)" -x iapeer-telegram; }
holds control "{\"token\":\"$token\"}"

# Without any bot it is up after create, too, and waits for one.
iapeer create idle --runtime telegram >/dev/null
eventually "the session of a peer without a bot" up telegram-idle
is "$(show iapeer-peer@telegram-idle.service ActiveState)" active "the unit after create"
is "$(show iapeer-peer@telegram-idle.service NRestarts)" 0 "restarts without a bot"
iapeer remove idle --force

iapeer create me --runtime person >/dev/null
parrot bob PARROT_TURN_MS=5
echo "$token" >"$HOME/token"
iapeer connect telegram me --token-file "$HOME/token" >"$HOME/connected" 2>"$HOME/code" &
connecting=$!
eventually "the code" grep -q '@Stub_bot' "$HOME/code"
writes "$(sed -n 's/.*@Stub_bot.* //p' "$HOME/code" | head -1)"
wait $connecting || fail "connect: $(cat "$HOME/code")"
grep -q "bridge: $unit started" "$HOME/connected" || fail "what connect said: $(cat "$HOME/connected")"
is "$(show $unit ActiveState)" active "the unit after connect"
is "$(systemctl --user is-enabled $unit)" enabled "the unit"
eventually "the session" up telegram-me
eventually "the bridge" bridge
writes "hello bob"
eventually "the answer" shown "bob: You said: hello bob"

# Its unit alone knows where the API is from here on, as after a boot.
grep -q "IAPEER_TELEGRAM_API=$IAPEER_TELEGRAM_API" "$HOME/.config/systemd/user/$unit" || fail "the API's address is not in the unit"
grep -rq "$token" "$HOME/.config/systemd" && fail "the token is in a unit"
mkdir -p "$HOME/.config/systemd/user/$unit.d"
printf '[Service]\nRestartSec=100ms\n' >"$HOME/.config/systemd/user/$unit.d/test.conf"
systemctl --user daemon-reload

# killed PID: another bridge comes, and both directions work.
n=0
killed() {
    local old=$1
    n=$((n + 1))
    kill -9 "$old"
    another() { local now; now=$(bridge) && [ "$now" != "$was" ] && [ "$(show $unit ActiveState)" = active ]; }
    eventually "another bridge after kill $n" another
    writes "again $n"
    eventually "the answer after kill $n" shown "bob: You said: again $n"
    is "$(control | grep -Fo "\"text\": \"bob: You said: again $n\"" | wc -l)" 1 "the number of answers after kill $n"
}
was=$(bridge)
killed "$was"
was=$(bridge)
killed "$(server telegram-me)"
# What holds it is killed: what lives on is taken over.
was=none
before=$(show $unit NRestarts)
killed "$(show $unit MainPID)"
held() { [ "$(show $unit MainPID)" != 0 ] && [ "$(show $unit NRestarts)" -gt "$before" ]; }
eventually "another holder" held

# Gone with the peer.
old=$(bridge)
iapeer remove me --force
holds gone "$old"
[ ! -e "$HOME/.config/systemd/user/$unit" ] || fail "the unit's file is left"
is "$(systemctl --user list-units --all --plain --no-legend "$unit")" "" "the unit after remove"
