#!/bin/sh
# container.sh FOLDER COMMAND...: what a container runtime does with files, in a mount namespace that the caller made
# (`unshare --mount`), then the command, as the same process. FOLDER has `account`, mounted where pods find their
# ServiceAccount; `volumes`, a folder a volume; `mounts`, a line `VOLUME PATH` for each; and perhaps `read-only`, an
# empty file: nothing can be written then. /etc is as bare as a distroless image has it, /run and /tmp are empty; the
# machine's own stay as they are. The project is at /run/project, wherever it lies and whoever may look into the folders
# above it.
set -eu
folder=$1
shift
mount -t tmpfs tmpfs /run
mkdir -p /run/pod /run/etc /run/secrets/kubernetes.io/serviceaccount
mount --bind "$folder" /run/pod
mount --rbind /etc /run/etc
mount -t tmpfs tmpfs /etc
for file in passwd group hosts nsswitch.conf ssl; do [ ! -e "/run/etc/$file" ] || cp -a "/run/etc/$file" /etc/; done
project=$(cd "$(dirname "$0")/../.." && pwd)
mkdir /run/project
for part in bin src test node_modules; do
  mkdir "/run/project/$part"
  mount --bind "$project/$part" "/run/project/$part"
done
cp "$project/package.json" /run/project/
mount -t tmpfs tmpfs /tmp
mount --bind /run/pod/account /run/secrets/kubernetes.io/serviceaccount
while read -r volume path; do
  mkdir -p "$path"
  mount --bind "/run/pod/volumes/$volume" "$path"
done </run/pod/mounts
if [ -e /run/pod/read-only ]; then
  umount -l /run/etc
  for path in / /etc /run /tmp /run/project/*/; do mount -o remount,bind,ro "$path"; done
fi
exec "$@"
