#!/usr/bin/env bash
# build.sh DIR: etcd, kube-apiserver, kube-controller-manager and kube-proxy into DIR, from Go modules (Go 1.26 or
# later). The first time takes about five minutes on two processors and 3.5 GB of Go's caches, later seconds. It gives
# way to everything else on the machine, and says every 15 s that it is still at it. DIR appears only when all are
# there.
set -euo pipefail
dir=$1
[ ! -d "$dir" ] || exit 0
mkdir -p "$(dirname "$dir")"
cd "$(dirname "${BASH_SOURCE[0]}")"
export CGO_ENABLED=0
work=$dir.$$
progress=
trap '[ -z "$progress" ] || kill "$progress" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$work"

# build NAME FLAGS PACKAGE
build() {
  local began=$SECONDS
  echo "kube: building $1"
  (while sleep 15; do echo "kube: building $1, $((SECONDS - began)) s"; done) &
  progress=$!
  nice -n 10 go build -trimpath -ldflags "-s -w $2" -o "$work/$1" "$3"
  kill "$progress" && wait "$progress" 2>/dev/null || true
  progress=
}

version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=$(cut -d. -f2 <<<"$version")
stamp=k8s.io/component-base/version
kube="-X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor"
build etcd '' go.etcd.io/etcd/server/v3
build kube-apiserver "$kube" k8s.io/kubernetes/cmd/kube-apiserver
build kube-controller-manager "$kube" k8s.io/kubernetes/cmd/kube-controller-manager
build kube-proxy "$kube" k8s.io/kubernetes/cmd/kube-proxy
# another build may have been faster
mv -T "$work" "$dir" 2>/dev/null || [ -d "$dir" ]
echo "kube: Kubernetes $version is in $dir"
