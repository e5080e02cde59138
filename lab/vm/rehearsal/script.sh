# A node that comes up and goes again, twice: as at its first boot, and as at a
# later one. $1: the controller; stdin: its CA.
set -e
d=/tmp/rehearsal
controllers=$(cat /sys/fs/cgroup/cgroup.subtree_control)
mkdir -p $d/x
cd $d
cat >ca.pem

# end takes a node away: its first process, and so its processes, mounts and name.
end() {
	[ -z "$node" ] || { kill -9 $(cat /proc/$node/task/$node/children); wait $node || true; }
	node=
	for i in $(seq 300); do # its mounts go after its processes
		fsck.ext4 -p /dev/vda && break
		sleep 0.1
	done
	find /sys/fs/cgroup/g8os -depth -type d -exec rmdir {} \;
	for c in $(cat /sys/fs/cgroup/cgroup.subtree_control); do
		case " $controllers " in *" $c "*) ;; *) echo "-$c" >/sys/fs/cgroup/cgroup.subtree_control ;; esac
	done
	ip address flush dev eth0
	ip link set eth0 down
} >/dev/null 2>&1

clear_away() {
	trap '' EXIT
	set +e
	end
	umount $d/x
	cd /
	rm -rf $d
} >/dev/null 2>&1
trap clear_away EXIT

# What came is hot-plugged.
for i in $(seq 300); do
	[ ! -b /dev/vda ] || [ ! -b /dev/vdb ] || [ ! -e /sys/class/net/eth0 ] || break
	sleep 0.1
done
mkfs.ext4 -q -L G8OS /dev/vda
mkdosfs -n G8BOOT /dev/vdb

# What a node loads once it is one.
for m in evdev button; do modprobe $m || true; done

# begin starts a node whose boot medium brings a net.toml, and waits until it is
# managed. Its root is this machine's, but what it writes there is its own.
begin() {
	mount -t vfat /dev/vdb x
	mkdir -p x/g8os
	cp ca.pem x/g8os/
	printf 'controllers = ["%s"]\n[interface.eth0]\n%s\n' "$1" "$2" >x/g8os/net.toml
	umount x
	rm -rf up work root run
	mkdir up work root run
	# The kernel makes a boot's name when it is first asked for it: let each clone
	# do that.
	cat /proc/sys/kernel/random/uuid >boot_id
	unshare -m -u -p -f sh -e -c '
		mount --make-rprivate /
		mount -t overlay -o lowerdir=/,upperdir=$PWD/up,workdir=$PWD/work rehearsal root
		mount -t proc proc root/proc
		mount --rbind /sys root/sys
		mount --rbind /dev root/dev
		mount --bind run root/run
		mount -t tmpfs tmp root/tmp
		mount --bind /usr/bin/g8os_core root/usr/bin/g8os_core
		mount --bind boot_id root/proc/sys/kernel/random/boot_id
		exec chroot root g8os_core rehearse' >>log 2>&1 &
	node=$!
	for i in $(seq 100); do
		[ ! -S run/core.sock ] || break
		sleep 0.1
	done
	g8os_core wait --socket $d/run/core.sock --timeout 60s || { tail -n 5 log; tail -n 5 root/var/log/g8os/core.log; exit 1; }
	g8os_core status --socket $d/run/core.sock
	g8os_core facts --socket $d/run/core.sock
	sleep 1
}

begin "$1" 'method = "static"
address = ["10.0.2.15/24"]'
end
begin "$1" 'method = "dhcp"'
