package recipe

// applets are busybox's commands that the base has a link for. Not among them
// are its init, its daemons and DHCP clients (the node's are g8os_core's), and
// what would power the machine off past PID 1.
const applets = `
bin/[ bin/[[ bin/ar bin/arch bin/ascii bin/ash bin/awk bin/base64 bin/basename bin/bc bin/bunzip2 bin/bzcat bin/bzip2
bin/cal bin/cat bin/chgrp bin/chmod bin/chown bin/chvt bin/clear bin/cmp bin/cp bin/cpio bin/crc32 bin/cut bin/date
bin/dc bin/dd bin/deallocvt bin/df bin/diff bin/dirname bin/dmesg bin/dnsdomainname bin/dos2unix bin/du bin/echo
bin/egrep bin/env bin/expand bin/expr bin/factor bin/fallocate bin/false bin/fgrep bin/find bin/fold bin/free
bin/getopt bin/grep bin/groups bin/gunzip bin/gzip bin/head bin/hexdump bin/hostid bin/hostname bin/id bin/ionice
bin/ipcalc bin/kill bin/last bin/less bin/link bin/linux32 bin/linux64 bin/ln bin/logger bin/logname
bin/ls bin/lsscsi bin/lzcat bin/lzma bin/lzop bin/md5sum bin/microcom bin/mkdir bin/mkfifo bin/mknod bin/mkpasswd
bin/mktemp bin/more bin/mount bin/mv bin/nc bin/netstat bin/nl bin/nproc bin/nsenter bin/nslookup bin/od bin/openvt
bin/paste bin/patch bin/pidof bin/ping bin/ping6 bin/printf bin/ps bin/pwd bin/readlink bin/realpath bin/renice
bin/reset bin/rev bin/rm bin/rmdir bin/run-parts bin/sed bin/seq bin/setpriv bin/setsid bin/sh bin/sha1sum
bin/sha256sum bin/sha3sum bin/sha512sum bin/shred bin/shuf bin/sleep bin/sort bin/stat bin/strings bin/stty bin/sync
bin/tac bin/tail bin/tar bin/taskset bin/tee bin/telnet bin/test bin/tftp bin/time bin/timeout bin/top bin/touch
bin/tr bin/traceroute bin/traceroute6 bin/true bin/truncate bin/ts bin/tty bin/umount bin/uname bin/uncompress
bin/unexpand bin/uniq bin/unix2dos bin/unlink bin/unlzma bin/unshare bin/unxz bin/unzip bin/uptime bin/usleep
bin/uudecode bin/uuencode bin/vi bin/w bin/watch bin/wc bin/wget bin/which bin/who bin/whoami bin/xargs bin/xxd
bin/xz bin/xzcat bin/yes bin/zcat
sbin/adjtimex sbin/arp sbin/arping sbin/blkdiscard sbin/blkid sbin/blockdev sbin/brctl sbin/chroot sbin/devmem
sbin/fdisk sbin/findfs sbin/fsfreeze sbin/fstrim sbin/hwclock sbin/i2cdetect sbin/i2cdump sbin/i2cget sbin/i2cset
sbin/ifconfig sbin/insmod sbin/losetup sbin/lsmod sbin/mkdosfs sbin/mkswap sbin/modinfo sbin/modprobe sbin/nologin
sbin/partprobe sbin/pivot_root sbin/rmmod sbin/route sbin/start-stop-daemon sbin/swapoff sbin/swapon
sbin/switch_root sbin/sysctl sbin/vconfig
`

// elsewhere are programs of the tools layer that scripts call by their place.
const elsewhere = `
bin/bash bin/git bin/lsblk bin/nano sbin/iptables sbin/ip6tables sbin/ldconfig sbin/lvm sbin/mdadm sbin/nft sbin/parted
`
