#!/bin/bash
# iapeer schedule: timers and path units that fire by themselves, and nothing left of them.
# shellcheck source=tests/support/systemd/lib.sh
. "$(dirname "$0")/lib.sh"
own=$HOME/.config/systemd/user
iapeer create me --runtime person >/dev/null
new=$ROOT/peers/me/inbox/new
count() { find "$new" -name "*-system-schedule-$1-*.md" 2>/dev/null | wc -l; }
at_least() { [ "$(count "$1")" -ge "$2" ]; }

# What systemd and a shell would take for something else arrives as it is.
# shellcheck disable=SC2016
iapeer schedule add pulse --to me --every 1s -m 'a secret 5% $x' --topic "50% done" >"$HOME/added"
grep -q '^scheduled pulse  to me  every 1s  active' "$HOME/added" || fail "what add said: $(cat "$HOME/added")"
systemd-analyze --user verify --man=no --recursive-errors=yes "$own"/iapeer-schedule-pulse.{service,timer} 2>"$HOME/verify" ||
    fail "$(cat "$HOME/verify")"
eventually "two messages by the timer" at_least pulse 2
# shellcheck disable=SC2016
grep -Fq 'a secret 5% $x' "$new"/*.md || fail "the text: $(cat "$new"/*.md)"
grep -q 'topic: "50% done"' "$new"/*.md || fail "the topic"
grep -rq 'a secret' "$own" && fail "the text is in a unit"

# It survives a reload.
systemctl --user daemon-reload
before=$(count pulse)
eventually "one more after a reload" at_least pulse $((before + 1))

# A path.
mkdir "$HOME/watched"
iapeer schedule add watch --to me --path-changed "$HOME/watched" -m "it has changed" >/dev/null
touch "$HOME/watched/file"
eventually "a message by the path unit" at_least watch 1

# What systemd does not take is refused, and nothing is left of it.
status=0
iapeer schedule add wrong --to me --on-calendar "no such day" -m x 2>"$HOME/wrong" || status=$?
is $status 69 "the status of a calendar that is none: $(cat "$HOME/wrong")"
left=$(find "$own" "$ROOT/schedules" -name '*wrong*')
is "$left" "" "what is left of it"

# Somebody else's unit is left alone.
echo '[Unit]' >"$own/iapeer-schedule-other.timer"
iapeer schedule add other --to me --every 1h -m x 2>/dev/null && fail "a foreign unit was replaced"
is "$(cat "$own/iapeer-schedule-other.timer")" '[Unit]' "the foreign unit"
rm "$own/iapeer-schedule-other.timer"

# Another kind of time: the old unit goes, also where the text of the schedule is gone.
rm "$ROOT/schedules/pulse.txt"
iapeer schedule add pulse --to me --path-changed "$HOME/watched" -m "x" >/dev/null
[ ! -e "$own/iapeer-schedule-pulse.timer" ] || fail "the timer is still there"
is "$(show iapeer-schedule-pulse.path ActiveState)" active "the path unit"

# A version that systemd does not take costs nothing of the one before.
status=0
iapeer schedule add pulse --to me --on-calendar "no such day" -m y 2>"$HOME/wrong" || status=$?
is $status 69 "the status of a version that is refused"
grep -q "the schedule pulse is as it was" "$HOME/wrong" || fail "what is said: $(cat "$HOME/wrong")"
is "$(cat "$ROOT/schedules/pulse.txt")" x "the text of the version before"
is "$(show iapeer-schedule-pulse.path ActiveState)" active "the path unit of the version before"
[ ! -e "$own/iapeer-schedule-pulse.timer" ] || fail "the timer of the refused version is left"

# Of a schedule whose file is torn, or gone, the units go as of any other.
echo '{' >"$ROOT/schedules/pulse.json"
iapeer schedule list >"$HOME/list"
grep -q "^pulse  can't be read: " "$HOME/list" || fail "what list says: $(cat "$HOME/list")"
grep -q "^watch  to me" "$HOME/list" || fail "the other schedule: $(cat "$HOME/list")"
iapeer schedule add pulse --to me --every 1h -m x >/dev/null
[ ! -e "$own/iapeer-schedule-pulse.path" ] || fail "the path unit of the torn schedule is still there"
echo '{' >"$ROOT/schedules/pulse.json"
iapeer schedule remove pulse
rm "$ROOT/schedules/watch.json"
iapeer schedule remove watch
left=$(find "$own" -name 'iapeer-schedule-*'; systemctl --user list-units 'iapeer-schedule-*' --all --no-legend --no-pager)
is "$left" "" "what is left of schedules"
