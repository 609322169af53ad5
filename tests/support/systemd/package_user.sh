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
systemctl --user disable --quiet --now iapeer-superviser.timer iapeer-drain.path

iapeer-reap parrot-alice parrot-bob
