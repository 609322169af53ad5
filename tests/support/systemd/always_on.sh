#!/bin/bash
# A peer that is always on: held by a unit, from create to remove.
# shellcheck source=tests/support/systemd/lib.sh
. "$(dirname "$0")/lib.sh"
own=$HOME/.config/systemd/user
unit=iapeer-peer@notifier-bell.service
cat >"$HOME/bell" <<'E'
#!/bin/bash
echo "$$ $*" >>"$HOME/bell.starts"
while IFS= read -r line; do printf '%s\n' "$line" >>"$HOME/bell.record"; done
E
chmod +x "$HOME/bell"
export NOTIFIER_RUNTIME_BIN=$HOME/bell
iapeer create alice --runtime parrot >/dev/null

# A unit of that name that is somebody else's: nothing is created.
mkdir -p "$own"
printf '[Service]\nExecStart=/bin/true\n' >"$own/$unit"
status=0
iapeer create bell --runtime notifier 2>"$HOME/why" || status=$?
is $status 69 "the status of a create over a foreign unit"
grep -q 'not foundation-managed' "$HOME/why" || fail "the refusal does not say why: $(cat "$HOME/why")"
iapeer list | grep -q '^bell ' && fail "the refused peer is registered"
rm "$own/$unit"

iapeer create bell --runtime notifier
unset NOTIFIER_RUNTIME_BIN
mkdir -p "$own/$unit.d"
printf '[Service]\nRestartSec=100ms\n' >"$own/$unit.d/test.conf"
systemctl --user daemon-reload
eventually "the peer" test -s "$HOME/bell.starts"
is "$(show $unit ActiveState)" active "the unit"
is "$(systemctl --user is-enabled $unit)" enabled "the unit"
eventually "a session" alive bell
iapeer-send bell -m "ding" --from parrot-alice --wait 20
eventually "the message" grep -q ding "$HOME/bell.record"

# Nobody but its manager wakes it or puts it to sleep.
iapeer units install >/dev/null
systemctl --user start --wait iapeer-superviser.service
starts() { wc -l <"$HOME/bell.starts"; }
is "$(starts)" 1 "the number of starts"

# Killed: the program, then the server, then what holds it. Each time it comes back.
again() { [ "$(starts)" -gt "$1" ] && [ "$(show $unit ActiveState)" = active ] && lives "$(server notifier-bell)"; }
kill -9 "$(tail -1 "$HOME/bell.starts" | cut -d' ' -f1)"
eventually "another program" again 1
n=$(starts)
kill -9 "$(server notifier-bell)"
eventually "another server" again "$n"
n=$(starts)
old=$(server notifier-bell)
kill -9 "$(show $unit MainPID)"
held() { [ "$(show $unit MainPID)" != 0 ] && [ "$(show $unit ActiveState)" = active ] && [ "$(show $unit NRestarts)" -gt 2 ]; }
eventually "another holder" held
# What lives on is taken over, not doubled.
is "$(server notifier-bell)" "$old" "the server after the holder was killed"
iapeer-send bell -m "dong" --from parrot-alice --wait 20
eventually "the message after all that" grep -q dong "$HOME/bell.record"
is "$(grep -c ding "$HOME/bell.record")" 1 "deliveries of the first message"

# stop lasts, also over a tick and a message; start ends it.
iapeer stop bell
is "$(show $unit ActiveState)" inactive "the unit after stop"
holds gone "$old"
systemctl --user start --wait iapeer-superviser.service
is "$(show $unit ActiveState)" inactive "the unit a tick later"
status=0
iapeer-send bell -m lost --from parrot-alice 2>"$HOME/why" || status=$?
is $status 69 "the status of a send to a stopped peer"
iapeer start bell
eventually "the peer after start" alive bell

# TERM to what holds it ends the session as well, without a death on record.
old=$(server notifier-bell)
deaths=$(grep -c cause= "$ROOT/logs/iapeer/exits.log" || true)
systemctl --user stop $unit
holds gone "$old"
systemctl --user start $unit
eventually "the peer once more" alive bell
is "$(grep -c cause= "$ROOT/logs/iapeer/exits.log" || true)" "$deaths" "deaths after a stopped unit"

# Install and uninstall know of it: its variable stays although nobody exports it now.
grep -q "NOTIFIER_RUNTIME_BIN=$HOME/bell" "$own/$unit" || fail "the program's variable is not in the unit"
iapeer units install | grep -q "^current  $unit" || fail "the unit is not what install would write"

old=$(server notifier-bell)
iapeer remove bell --force
holds gone "$old"
[ ! -e "$own/$unit" ] || fail "the unit's file is left"
is "$(systemctl --user list-units --all --plain --no-legend "$unit")" "" "the unit after remove"
[ ! -e "$own/default.target.wants/$unit" ] || fail "the unit's link is left"
iapeer list | grep -q '^bell ' && fail "the removed peer is registered"
iapeer units uninstall >/dev/null
