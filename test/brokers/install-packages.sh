# Installs Debian packages without letting them start their services, now or at the next boot. Arguments: their names.
#
# The ban on services must go again even if whoever called this is gone by then, so it is taken back here.

policy=/usr/sbin/policy-rc.d # asked by the packages whether they may start a service; 101 is no
if (set -C && printf '#!/bin/sh\nexit 101\n' >"$policy"); then # one that is there already is somebody else's and stays
  trap 'rm -f "$policy"' EXIT
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin" # dpkg refuses to work without the two
apt-get -q update # a source that is out of reach fails this, and is often one that these packages do not come from
apt-get -q install -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=60 "$@" || exit 1
if command -v systemctl; then
  systemctl disable "$@"
fi
exit 0
