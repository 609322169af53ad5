#!/bin/bash
# A Debian package, installed, used by an ordinary user and removed. Root runs this; the machine is a throw-away copy.
set -euo pipefail
here=$(dirname "$0")
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
fail() { echo "FAILED: $*"; exit 1; }
# What the system's folders hold of this name, the repository perhaps.
named() { find /usr /etc /opt /var/lib/dpkg /var/lib/systemd -xdev -name '*iapeer*' | sort; }
before=$(named)

# Small images of Debian leave manuals out.
dpkg --path-include='/usr/share/*' -i "$here"/../deb/*.deb
[ -z "$(dpkg --verify iapeer)" ] || fail "dpkg --verify: $(dpkg --verify iapeer)"

# A session of that user, as a login has it: user manager, bus.
systemd-run --system --quiet --pipe --wait --collect --service-type=exec -p PAMName=with-systemd -p User=wsuser \
    -p WorkingDirectory=/home/wsuser --setenv=IAPEER_BIN=/usr/bin --setenv=LANG=C.UTF-8 -- "$here/package_user.sh"

dpkg -r iapeer
dpkg -P iapeer
[ "$(named)" = "$before" ] || fail "left behind: $(diff <(echo "$before") <(named))"
