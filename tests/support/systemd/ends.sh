#!/bin/bash
# Whose end is not the end of a session, and whose is.
# shellcheck source=tests/support/systemd/lib.sh
. "$(dirname "$0")/lib.sh"
iapeer units install >/dev/null
iapeer create alice --runtime parrot >/dev/null
parrot bob
parrot carol
parrot dave

# Woken from a unit of its own, which is stopped with all that is in it.
systemd-run --user --quiet --unit=sender sh -c "'$IAPEER_BIN/iapeer-send' bob -m one --from parrot-alice; exec sleep 1000"
eventually "the message from a unit" told bob one
bob=$(server parrot-bob)
systemctl --user stop sender
holds lives "$bob"
eventually "a canary" pgrep -f "^$IAPEER_BIN/iapeer-canary parrot-bob\$"

# Woken by a tick whose service ends.
systemctl --user stop iapeer-superviser.timer iapeer-drain.path
mkdir "$HOME/alone"
cp "$IAPEER_BIN/iapeer-send" "$HOME/alone/"
"$HOME/alone/iapeer-send" carol -m two --from parrot-alice --wait 0
systemctl --user start --wait iapeer-superviser.service
eventually "the message by the tick" told carol two
carol=$(server parrot-carol)
is "$(show iapeer-superviser.service ActiveState)" inactive "the tick's service"
holds lives "$carol"
grep -q "^iapeer-parrot-carol" <<<"$(basename "$(cgroup "$carol")")" || fail "carol is in $(cgroup "$carol")"

# Every unit that was installed is restarted.
systemctl --user start iapeer-superviser.timer iapeer-drain.path
mapfile -t units < <(iapeer units status | sed -n 's/^\(iapeer-[^ @]*\) .*/\1/p')
is "${#units[@]}" 4 "the number of units to restart"
systemctl --user restart "${units[@]}"
holds lives "$bob"
holds lives "$carol"
iapeer-send bob -m three --from parrot-alice --require delivered
is "$(server parrot-bob)" "$bob" "the server after all restarts"
[ ! -s "$ROOT/logs/iapeer/exits.log" ] || fail "a death on record: $(cat "$ROOT/logs/iapeer/exits.log")"

# Its own unit is stopped: one record, and it says so. The next message finds the peer again.
systemctl --user stop iapeer-parrot-bob.service
holds gone "$bob"
eventually "the record of the death" grep -q 'identity=parrot-bob .*cause=unit-stopped\|cause=unit-stopped.*identity=parrot-bob' "$ROOT/logs/iapeer/exits.log"
is "$(grep -c 'ev=server-exit' "$ROOT/logs/iapeer/exits.log")" 1 "the number of deaths on record"
iapeer list | grep bob
iapeer-send bob -m four --from parrot-alice --require delivered
is "$(grep -c 'cause=' "$ROOT/logs/iapeer/exits.log")" 1 "the number of causes on record"

# One that is ended by us is none.
iapeer-reap parrot-carol
iapeer-wake carol
iapeer stop carol
systemctl --user start --wait iapeer-superviser.service
is "$(grep -c 'cause=' "$ROOT/logs/iapeer/exits.log")" 1 "the number of causes after deliberate ends"
iapeer units uninstall >/dev/null
