#!/bin/bash
# What a user does with the package.
# shellcheck source=tests/support/systemd/lib.sh
. "$(dirname "$0")/lib.sh"
is "$(command -v iapeer-send)" /usr/bin/iapeer-send "the program on the PATH"
for program in /usr/bin/iapeer*; do
    name=${program##*/}
    is "$("$program" --version | cut -d' ' -f1)" "$name" "the name of a program"
    gzip -t "/usr/share/man/man1/$name.1.gz"
done

parrot alice
parrot bob
iapeer-send bob -m 'out of a package' --from parrot-alice --require delivered
told bob 'out of a package' || fail "bob did not get the message"
pane=$(pgrep -P "$(server parrot-bob)" -f iapeer-parrot)
is "$(readlink "/proc/$pane/exe")" /usr/bin/iapeer-parrot "the agent's program"

# The packaged units, as they are: a timer and a path unit of the system's, turned on by this user alone.
systemctl --user daemon-reload
systemctl --user enable --quiet --now iapeer-superviser.timer iapeer-drain.path
is "$(show iapeer-superviser.timer FragmentPath)" /usr/lib/systemd/user/iapeer-superviser.timer "the timer"
systemctl --user start iapeer-superviser.service iapeer-drain.service
is "$(show iapeer-superviser.service Result)" success "the result of the tick"
is "$(show iapeer-drain.service Result)" success "the result of the drain"

# `units install` puts this user's own before them, under the same names: each is there once, and starts /usr/bin.
own=$HOME/.config/systemd/user
iapeer units install >"$HOME/said"
grep -q '^restarted  iapeer-superviser.timer' "$HOME/said" || fail "the timer still runs from the packaged file: $(cat "$HOME/said")"
is "$(show iapeer-superviser.timer FragmentPath)" "$own/iapeer-superviser.timer" "the timer"
grep -qx 'ExecStart=/usr/bin/iapeer-superviser' "$own/iapeer-superviser.service" || fail "the tick is not that of the package"
systemctl --user cat iapeer-superviser.timer iapeer-drain.path >/dev/null
is "$(systemctl --user list-timers --all --no-legend 'iapeer-*' | wc -l)" 1 "the number of timers"
is "$(systemctl --user list-unit-files --no-legend 'iapeer-*' | awk '{print $1}' | sort | uniq -d)" "" "units that are there twice"
for unit in iapeer-superviser.timer iapeer-drain.path; do
    is "$(show $unit ActiveState)" active "the state of $unit"
    is "$(systemctl --user is-enabled $unit)" enabled "whether $unit is enabled"
done
iapeer units install >"$HOME/again"
grep -vE "^(current|running|lingering) " "$HOME/again" && fail "installing again changed something"
iapeer units uninstall >/dev/null
is "$(find "$HOME/.config/systemd" -name '*iapeer*' | wc -l)" 0 "what units uninstall left"
for unit in iapeer-superviser.timer iapeer-drain.path; do
    is "$(show $unit ActiveState)" inactive "the state of $unit after uninstall"
    is "$(systemctl --user is-enabled $unit || true)" disabled "whether $unit is enabled after uninstall"
done

iapeer-reap parrot-alice parrot-bob
