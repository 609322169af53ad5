#!/bin/bash
# Without a user manager at hand, and where it is turned off, a session is a process session, and the log says so.
# shellcheck source=tests/support/systemd/lib.sh
. "$(dirname "$0")/lib.sh"
check() {
    is "$(systemctl --user list-units 'iapeer-*' --all --no-legend | wc -l)" 0 "the number of units"
    grep -q "ev=launch identity=$1 .*unit=none" "$ROOT/logs/iapeer/lifecycle.log" || fail "no word of it in the log"
    local pid
    pid=$(server "$1")
    is "$(ps -o sid= -p "$pid" | tr -d ' ')" "$pid" "the process session of the server"
    iapeer-reap "$1"
    holds gone "$pid"
}
parrot bob
env -u XDG_RUNTIME_DIR -u DBUS_SESSION_BUS_ADDRESS iapeer-wake bob
check parrot-bob
parrot carol
IAPEER_SERVICE_MANAGER=none iapeer-wake carol
check parrot-carol
status=0
IAPEER_SERVICE_MANAGER=some iapeer-wake carol || status=$?
is $status 78 "the status with a bad setting"
