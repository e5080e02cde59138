package recipe

// ToolPackages are what the tools layer has, with all they depend on. They are
// a Debian as apt would install it, less what Unwanted and Dropped take away.
var ToolPackages = []string{
	"bash", "coreutils", "util-linux", "procps", "findutils", "grep", "sed", "gawk", "tar", "gzip", "xz-utils", "bzip2", "zstd", "diffutils", "less", "file", "psmisc", "lsof", "strace", "vim-tiny", "nano",
	"docker.io", "containerd", "runc", "iptables", "nftables", "ipset", "conntrack",
	"qemu-system-x86", "qemu-utils", "seabios", "ovmf",
	"openvswitch-switch", "openvswitch-common",
	"mc", "git", "rsync", "curl", "ca-certificates", "openssh-client", "netbase", "ncurses-base", "ncurses-bin",
	"iputils-ping", "tcpdump", "dnsutils", "netcat-openbsd", "socat", "bridge-utils", "vlan",
	"kmod", "pciutils", "usbutils", "parted", "gdisk", "dosfstools", "xfsprogs", "btrfs-progs", "lvm2", "mdadm", "smartmontools", "hdparm", "nvme-cli", "squashfs-tools",
}

// Packages are all that the lock resolves.
func Packages() []string {
	names := append([]string{KernelPackage}, ToolPackages...)
	for _, t := range Base {
		names = append(names, t.Package)
	}
	return append(names, Libraries...)
}
