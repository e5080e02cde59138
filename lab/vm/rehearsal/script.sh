# A node that comes up and goes again. $1: the controller; stdin: its CA.
set -e
d=/tmp/rehearsal
was=$(hostname)
controllers=$(cat /sys/fs/cgroup/cgroup.subtree_control)
mkdir -p $d/etc $d/mnt $d/x
cd $d
cat >etc/ca.pem
printf 'controllers = ["%s"]\n[interface.eth0]\nmethod = "dhcp"\n' "$1" >etc/net.toml

clear_away() {
	trap '' EXIT
	set +e
	umount $d/x
	[ -z "$core" ] || { kill $core; wait $core; }
	g8os_core release --socket $d/core.sock --dir $d/etc --mount $d/mnt --run-dir $d/run
	umount $d/mnt
	rmdir /run/sshd
	find /sys/fs/cgroup/g8os -depth -type d -exec rmdir {} \;
	for c in $(cat /sys/fs/cgroup/cgroup.subtree_control); do
		case " $controllers " in *" $c "*) ;; *) echo "-$c" >/sys/fs/cgroup/cgroup.subtree_control ;; esac
	done
	umount /proc/sys/kernel/random/boot_id
	hostname "$was"
	ip address flush dev eth0
	ip link set eth0 down
	cd /
	rm -rf $d
} >/dev/null 2>&1
trap clear_away EXIT

# What came is hot-plugged.
for i in $(seq 300); do
	[ ! -b /dev/vda ] || [ ! -e /sys/class/net/eth0 ] || break
	sleep 0.1
done

# The state disk, as at a first boot and at a later one; the boot medium.
mkfs.ext4 -q -L REHEARSAL /dev/vda
for i in 1 2; do
	mount -t ext4 -o noatime,errors=remount-ro /dev/vda x
	echo $i >x/file
	sync
	umount x
	fsck.ext4 -p /dev/vda
done
mkdosfs -n REHEARSAL /dev/vda
mount -t vfat -o ro /dev/vda x
ls x
umount x

# What a node loads once it is one.
for m in evdev button; do modprobe $m || true; done

# The kernel makes a boot's name when it is first asked for it: let each clone do
# that.
cat /proc/sys/kernel/random/uuid >boot_id
mount --bind boot_id /proc/sys/kernel/random/boot_id

hostname rehearsal
g8os_core run --socket $d/core.sock --dir $d/etc --mount $d/mnt --run-dir $d/run --spool $d/spool \
	--resolv-conf $d/resolv.conf --ssh-port 2222 --tpm none --upgrades $d/upgrades --power exit --clock own >log 2>&1 &
core=$!
for i in $(seq 100); do
	[ ! -S $d/core.sock ] || break
	sleep 0.1
done
g8os_core wait --socket $d/core.sock --timeout 60s || { tail -n 5 log; exit 1; }
g8os_core status --socket $d/core.sock
g8os_core facts --socket $d/core.sock
sleep 1
