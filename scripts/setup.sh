#!/usr/bin/env bash
# What tests need beside npm's packages: says what is there, installs what is missing as root on Debian or Ubuntu,
# builds a Kubernetes control plane, helm and kustomize where there is Go, and says which tests will be skipped. Never
# fails for a tool that it cannot install: every other test runs without them. Called as `npm run setup`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh
PATH=$PATH:/usr/sbin:/sbin:/usr/lib/frr

# program, Debian package, what it is for
tools=(
  'bgpd     frr       the routers of most interop stories'
  'bird     bird2     interop with BIRD, and the rival in the bench'
  'gobgpd   gobgpd    interop with GoBGP, and a rival in the bench'
  'ip       iproute2  network namespaces: every interop story'
  'tcpdump  tcpdump   what really was on the wire'
  'nft      nftables  the data plane of a cluster (kube-proxy)'
  'curl     curl      what a cluster answers over HTTP'
  'openssl  openssl   keys of a cluster'
  'promtool prometheus alerts, and metrics as Prometheus scrapes them'
)

missing=()
for tool in "${tools[@]}"; do
  read -r program package purpose <<<"$tool"
  if path=$(command -v "$program"); then
    printf 'setup: %-8s %s\n' "$program" "$path"
  else
    printf 'setup: %-8s missing: %s (package %s)\n' "$program" "$purpose" "$package"
    missing+=("$package")
  fi
done

if [ ${#missing[@]} -gt 0 ] && may_apt; then
  echo "setup: installing ${missing[*]}"
  apt_install "${missing[@]}" || echo "setup: apt-get failed (see above)"
fi

skipped=0
for tool in "${tools[@]}"; do
  read -r program package purpose <<<"$tool"
  if ! command -v "$program" >/dev/null; then
    echo "setup: without $program, skipped: $purpose; on Debian or Ubuntu: apt-get install $package"
    skipped=1
  fi
done
node test/cluster/binaries.ts || skipped=1
node test/manifests/tools.ts || skipped=1
if [ "$(id -u)" != 0 ]; then
  echo 'setup: not root: no network namespaces, so all interop and cluster tests will be skipped'
  skipped=1
elif ! unshare --net true 2>/dev/null; then
  echo 'setup: network namespaces are not permitted here: all interop and cluster tests will be skipped'
  skipped=1
fi
[ $skipped = 1 ] || echo 'setup: all there, nothing will be skipped for want of a program'
