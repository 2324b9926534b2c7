# shellcheck shell=bash
# Installing Debian packages without any of their daemons starting. Sourced by setup.sh and test/interop/docker.sh.
# invoke-rc.d asks /usr/sbin/policy-rc.d first: 101 means "not now". Ours is there only while apt runs; one that was
# there before is moved aside and comes back, also when the installation fails or is interrupted.

POLICY=/usr/sbin/policy-rc.d

may_apt() {
  [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null
}

# apt_install PACKAGE...: status of apt-get
apt_install() (
  set -e
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2329 # called by the trap
  restore() {
    rm -f "$POLICY"
    if [ -e "$POLICY.kept" ]; then mv "$POLICY.kept" "$POLICY"; fi
  }
  trap restore EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # a run that was killed outright may have left the user's own here: that one is kept, not ours
  if [ -e "$POLICY" ] && [ ! -e "$POLICY.kept" ]; then mv "$POLICY" "$POLICY.kept"; fi
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 755 "$POLICY"

  for package in "$@"; do
    if ! apt-cache show "$package" >/dev/null 2>&1; then
      apt-get update -q
      break
    fi
  done
  # lists that are there may be too old to fetch from: refresh them once and try again
  apt-get install -q -y --no-install-recommends "$@" || {
    apt-get update -q
    apt-get install -q -y --no-install-recommends "$@"
  }
)
