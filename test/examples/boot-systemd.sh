#!/bin/bash
# Boots systemd in a root of its own, in namespaces: the /usr of this machine, read-only, and an empty /etc, /run and
# /var in memory. The network is the machine's. It ends, and all that it started, with the `unshare` below.
#
# boot-systemd.sh ROOT APP: ROOT an empty folder, APP what is to be /opt/groundwork
set -euo pipefail
root=$1 app=$2

if [ "${3:-}" = '' ]; then
  # A control group of its own, that systemd takes for the topmost.
  exec unshare --mount bash -ec '
    mount -t cgroup2 none "$1" && mkdir "$1/groundwork-$$" && echo $$ >"$1/groundwork-$$/cgroup.procs"
    umount "$1"
    exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child bash "$0" "$1" "$2" inside' "$0" "$root" "$app"
fi

mount --make-rprivate /
mount -t tmpfs -o mode=755 none "$root"
cd "$root"
mkdir -p dev/shm etc/systemd/system opt/groundwork old proc root run sys/fs/cgroup tmp usr var/lib var/log
chmod 1777 tmp
for link in bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$link" ]; then ln -s "$(readlink "/$link")" "$link"; fi
done
mount --bind /usr usr
mount -o remount,bind,ro usr
mount --bind "$app" opt/groundwork

mount -t proc none proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t cgroup2 none sys/fs/cgroup
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
mount -t tmpfs none dev/shm
mount -t tmpfs none run

cp /etc/ld.so.cache /etc/login.defs etc/
echo 'passwd: files' >etc/nsswitch.conf
echo '127.0.0.1 localhost' >etc/hosts
printf '%s\n' root:x:0:0::/root:/bin/sh nobody:x:65534:65534::/:/usr/sbin/nologin >etc/passwd
printf '%s\n' root:x:0: nogroup:x:65534: systemd-journal:x:101: >etc/group
touch etc/shadow etc/gshadow etc/fstab
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id

# Of what the machine has installed nothing is started but the journal.
for folder in usr/lib/systemd/system/*.wants usr/lib/systemd/system-generators; do mount -t tmpfs none "$folder"; done
mkdir etc/systemd/system/sysinit.target.wants
ln -s /usr/lib/systemd/system/systemd-journald.service etc/systemd/system/sysinit.target.wants/

pivot_root . old
cd /
umount --lazy /old
container=groundwork exec /usr/lib/systemd/systemd --system --unit=multi-user.target </dev/null
