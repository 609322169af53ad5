#!/bin/bash
# A session is a unit of its own: environment, limits, ends, leftovers.
# shellcheck disable=SC2016 # the words with a dollar are to arrive as they are
# shellcheck source=tests/support/systemd/lib.sh
. "$(dirname "$0")/lib.sh"
unit=iapeer-parrot-bob.service
systemctl --user set-environment LEAKED=secret
iapeer create alice --runtime parrot
parrot bob OWN_KEY='a $HOME b'
printf '%s' '{"personality":"bob","default_runtime":"parrot","limits":{"memory_max":"2G","memory_high":"1G","tasks_max":77}}' \
    >"$ROOT/peers/bob/.iapeer/peer-profile.json"

NOT_ALLOWED=secret iapeer-send bob -m one --from parrot-alice --require delivered
is "$(show $unit ActiveState)" active "the unit"
is "$(show $unit MainPID)" "$(server parrot-bob)" "the unit's main process"
grep -q '"unit":"iapeer-parrot-bob.service"' "$ROOT/state/lifecycle/parrot-bob.session" || fail "no unit on record"
grep -q "ev=launch identity=parrot-bob .*unit=$unit" "$ROOT/logs/iapeer/lifecycle.log" || fail "no word of the unit in the log"
is "$(show $unit MemoryMax)" 2147483648 MemoryMax
is "$(show $unit MemoryHigh)" 1073741824 MemoryHigh
is "$(show $unit TasksMax)" 77 TasksMax
is "$(show $unit NoNewPrivileges)" no NoNewPrivileges

# Neither the sender's cgroup nor its environment, nor what the manager gives every unit.
[ "$(cgroup "$(server parrot-bob)")" != "$(cgroup $$)" ] || fail "the session is in the sender's cgroup"
pane=$(pgrep -P "$(server parrot-bob)" -f iapeer-parrot)
environment=$(tr '\0' '\n' <"/proc/$pane/environ")
for name in NOT_ALLOWED LEAKED INVOCATION_ID JOURNAL_STREAM SYSTEMD_EXEC_PID MANAGERPID TMUX; do
    grep -q "^$name=" <<<"$environment" && fail "$name reached the agent"
done
grep -qxF 'OWN_KEY=a $HOME b' <<<"$environment" || fail "launch.env did not reach the agent"
is "$(grep Seccomp: "/proc/$pane/status" | tr -dc 0-9)" 0 "the agent's seccomp filter"

# A deliberate end ends the unit and all in it, also what left the pane's process session and ignores HUP and TERM.
old=$(server parrot-bob)
tmux -S "$ROOT/socks/tmux-iap-parrot-bob.sock" run-shell -b "setsid sh -c 'trap \"\" HUP TERM; sleep 1000' & echo \$! >$HOME/stray"
eventually "the stray process" test -s "$HOME/stray"
stray=$(pgrep -f 'trap.*sleep 1000' | head -1)
is "$(cgroup "$stray")" "$(cgroup "$old")" "the cgroup of the stray process"
iapeer-reap parrot-bob
holds gone "$old"
holds gone "$stray"
is "$(show $unit LoadState)" not-found "the unit after the end"

# A server killed from outside: the cause is known to the signal, and the next wake is not refused for its name.
iapeer-wake bob
old=$(server parrot-bob)
kill -9 "$old"
eventually "the record of the death" grep -q 'cause=signaled' "$ROOT/logs/iapeer/exits.log"
grep 'cause=signaled' "$ROOT/logs/iapeer/exits.log" | grep -q SIGKILL || grep -q 'signal=9\|SIGKILL' "$ROOT"/logs/iapeer/server-deaths/* || fail "the signal is not on record"
iapeer-wake bob
is "$(show $unit ActiveState)" active "the unit after a death"

# A leftover of ours, failed or alive, makes way; somebody else's unit of that name is left alone.
iapeer-reap parrot-bob
systemd-run --user --quiet --unit=iapeer-parrot-bob --description="iapeer session parrot-bob ($ROOT)" sleep 1000
iapeer-wake bob
is "$(show $unit MainPID)" "$(server parrot-bob)" "the main process after a leftover"
iapeer-reap parrot-bob
systemd-run --user --quiet --unit=iapeer-parrot-bob --description="not ours" sleep 1000
other=$(show $unit MainPID)
iapeer-wake bob
holds lives "$other"
grep -q '"unit":"iapeer-parrot-bob\.[0-9a-f]*\.service"' "$ROOT/state/lifecycle/parrot-bob.session" || fail "no unit of its own"
old=$(server parrot-bob)
iapeer-reap parrot-bob
holds gone "$old"
holds lives "$other"

# A limit that systemd does not take is refused: the session never runs without it.
systemctl --user stop $unit
sed -i 's/"2G"/"lots"/' "$ROOT/peers/bob/.iapeer/peer-profile.json"
status=0
iapeer-wake bob 2>"$HOME/why" || status=$?
is $status 78 "the status of a wake with a bad limit"
grep -q MemoryMax "$HOME/why" || fail "the refusal does not name the limit"
