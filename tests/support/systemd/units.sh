#!/bin/bash
# iapeer units: what it writes, what runs by itself because of it, and that nothing is left of it.
# shellcheck source=tests/support/systemd/lib.sh
. "$(dirname "$0")/lib.sh"
own=$HOME/.config/systemd/user
log=$ROOT/logs/iapeer/lifecycle.log
ours() { systemctl --user list-unit-files 'iapeer-*' --no-legend --no-pager | grep -v transient; true; }
# Sooner than every minute, the way an administrator would ask for it.
hurry() {
    mkdir -p "$own/iapeer-superviser.timer.d"
    printf '[Timer]\nOnUnitActiveSec=\nOnStartupSec=\nOnStartupSec=0\nOnUnitActiveSec=1s\nAccuracySec=50ms\n' \
        >"$own/iapeer-superviser.timer.d/test.conf"
}
ticks() { grep -c 'ev=tick' "$ROOT/logs/iapeer/lifecycle.log" || true; }

# A dry run says all and does nothing.
iapeer units install --dry-run >"$HOME/dry"
grep -q '^would-be-written  iapeer-superviser.timer' "$HOME/dry" || fail "the dry run does not say what it would write"
[ ! -e "$own" ] || fail "a dry run wrote"

# Somebody else's file is left alone, and said.
mkdir -p "$own"
echo '[Unit]' >"$own/iapeer-canary@.service"
status=0
iapeer units install >"$HOME/first" || status=$?
is $status 69 "the status of an install with a foreign file"
grep -q '^refused-foreign  iapeer-canary@.service' "$HOME/first" || fail "no word of the foreign file"
is "$(cat "$own/iapeer-canary@.service")" '[Unit]' "the foreign file"
rm "$own/iapeer-canary@.service"

hurry
iapeer units install
grep -q "^ExecStart=$IAPEER_BIN/iapeer-superviser\$" "$own/iapeer-superviser.service" || fail "no absolute path"
systemd-analyze --user verify --man=no --recursive-errors=yes "$own"/iapeer-*[!@].{service,timer,path} 2>"$HOME/verify" || fail "$(cat "$HOME/verify")"

# Once more: nothing is written and nothing is restarted.
before=$(stat -c '%n %y' "$own"/iapeer-*)
pid_of_path=$(show iapeer-drain.path ActiveEnterTimestampMonotonic)
iapeer units install >"$HOME/second"
grep -qv '^\(current\|running\|lingering\)' "$HOME/second" && fail "a second install did something: $(cat "$HOME/second")"
is "$(stat -c '%n %y' "$own"/iapeer-*)" "$before" "the files after a second install"
is "$(show iapeer-drain.path ActiveEnterTimestampMonotonic)" "$pid_of_path" "the start of the path unit"

# The timer ticks by itself: a session that died is noticed, a queue that waits is looked at, its canary comes back.
parrot bob
iapeer-wake bob
server=$(server parrot-bob)
canary() { pgrep -f "^$IAPEER_BIN/iapeer-canary parrot-bob\$"; }
eventually "a canary" canary
old=$(canary)
kill -9 "$old"
rearmed() { local new; new=$(canary) && [ "$new" != "$old" ] && grep -q 'action=canary.*origin=retrofit\|origin=retrofit' "$log"; }
eventually "another canary after the killed one" rearmed
# It is no child of the tick that is ended with it.
holds lives "$(canary)"
is "$(wc -l <"$ROOT/logs/iapeer/exits.log" 2>/dev/null || echo 0)" 0 "records of deaths after a killed canary"

# A tick that is killed comes back with the timer.
runs() { show iapeer-superviser.service ExecMainStartTimestampMonotonic; }
caught() {
    local pid
    pid=$(show iapeer-superviser.service MainPID)
    [ "$pid" != 0 ] && kill -9 "$pid" && [ "$(show iapeer-superviser.service Result)" = signal ]
}
PATIENCE=60 eventually "a tick to kill" caught
killed=$(runs)
later() { [ "$(runs)" != "$killed" ] && [ "$(show iapeer-superviser.service Result)" = success ]; }
eventually "the tick after the killed one" later
eventually "a note of the failure" test -s "$ROOT/logs/iapeer/failed-iapeer-superviser.service.txt"

# A message that is accepted while no program runs is delivered by the path unit, long before a tick.
rm -r "$own/iapeer-superviser.timer.d"
systemctl --user daemon-reload
systemctl --user restart iapeer-superviser.timer
systemctl --user stop iapeer-superviser.timer
parrot carol
mkdir "$HOME/alone"
cp "$IAPEER_BIN/iapeer-send" "$HOME/alone/"
iapeer create alice --runtime parrot >/dev/null
"$HOME/alone/iapeer-send" carol -m "by the path unit" --from parrot-alice --wait 0
eventually "the message" told carol "by the path unit"
[ "$(cgroup "$(server parrot-carol)")" != "$(cgroup $$)" ] || fail "the session is in the sender's cgroup"
systemctl --user start iapeer-superviser.timer

iapeer units status >"$HOME/status"
grep -q '^iapeer-superviser.timer  current  active' "$HOME/status" || fail "no word of the timer: $(cat "$HOME/status")"
grep -q 'next in' "$HOME/status" || fail "no word of the next tick: $(cat "$HOME/status")"
grep -q 'loginctl enable-linger' "$HOME/status" || fail "no word of lingering: $(cat "$HOME/status")"
iapeer units status --json | grep -q '"next_secs"' || fail "no next run in JSON"

# Nothing is left; sessions live on.
iapeer units uninstall --dry-run >"$HOME/dry"
[ -e "$own/iapeer-superviser.timer" ] || fail "a dry run removed"
iapeer units uninstall
[ -z "$(ls -A "$own" 2>/dev/null)" ] || [ -z "$(find "$own" -name '*iapeer*')" ] || fail "left: $(find "$own")"
is "$(ours)" "" "the unit files after an uninstall"
is "$(systemctl --user list-units --all --no-legend --plain 'iapeer-*.timer' 'iapeer-*.path' 'iapeer-superviser*' 'iapeer-drain*' 'iapeer-failure*')" "" \
    "the units after an uninstall"
holds lives "$server"
iapeer units uninstall | grep -q '^nothing' || fail "a second uninstall did something"
