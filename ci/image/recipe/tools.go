package recipe

import (
	"path"
	"slices"
	"strings"

	"github.com/g8os/g8os/ci/image/tree"
)

// ToolPackages are what the tools layer has, with all they depend on: a Debian
// as apt would unpack it, less what Unwanted and Left take away.
var ToolPackages = []string{
	"bash", "bzip2", "coreutils", "dash", "debianutils", "diffutils", "file", "findutils", "gawk", "grep", "gzip", "hostname", "less", "libc-bin", "lsof", "mount", "nano", "procps", "psmisc", "sed", "strace", "tar", "util-linux", "vim-tiny", "xz-utils", "zstd",
	"docker.io", "containerd", "runc", "tini", "iptables", "nftables", "ipset", "conntrack",
	"qemu-system-x86", "qemu-utils", "seabios", "ovmf",
	"openvswitch-switch", "openvswitch-common",
	"mc", "git", "rsync", "curl", "ca-certificates", "openssh-client", "netbase", "ncurses-base", "ncurses-bin", "tzdata",
	"iputils-ping", "tcpdump", "netcat-openbsd", "socat", "bridge-utils",
	"kmod", "pciutils", "usbutils", "parted", "gdisk", "dosfstools", "xfsprogs", "btrfs-progs", "lvm2", "mdadm", "smartmontools", "hdparm", "nvme-cli", "squashfs-tools",
}

// Loaders are what firmware starts from a disk: systemd's stub for UEFI, and
// syslinux for BIOS. They are in no layer.
var Loaders = []Take{
	{"systemd-boot-efi", []string{"usr/lib/systemd/boot/efi/linuxx64.efi.stub"}},
	{"syslinux", []string{"usr/bin/syslinux", "usr/lib/SYSLINUX/gptmbr.bin"}},
}

// Packages are all that the lock resolves.
func Packages() []string {
	names := append([]string{KernelPackage}, ToolPackages...)
	for _, t := range Loaders {
		names = append(names, t.Package)
	}
	for _, t := range Base {
		names = append(names, t.Package)
	}
	return append(names, Libraries...)
}

// unwanted are packages that others depend on and a node has no use for: what
// installs packages, what another init needs, what scripts are written in.
// Programs that nothing can run then are left out too; a library that a
// program lacks stops the build.
var unwanted = []string{
	"adduser", "cpio", "debconf", "dpkg", "init-system-helpers", "initramfs-tools", "initramfs-tools-core", "iso-codes", "klibc-utils", "libicu72", "libklibc",
	"libpam-modules-bin", "libpam-runtime", "libsemanage-common", "libsemanage2", "libxml2", "lsb-base", "media-types", "passwd", "perl", "perl-base", "runit-helper", "sensible-utils", "syslinux", "systemd-boot-efi", "sysvinit-utils", "ucf", "udev", "usrmerge",
}

var unwantedPrefixes = []string{"linux-", "libperl", "perl-modules", "python3", "libpython3"}

// Unwanted says that nothing of a package is in the tools layer.
func Unwanted(name string) bool {
	return slices.Contains(unwanted, name) || strings.HasSuffix(name, "-perl") ||
		slices.ContainsFunc(unwantedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// left are folders and files that stay out of the tools layer: what people read
// elsewhere, what belongs to systemd, apt and other shells, and programs that
// drag in more than they are worth.
var left = []string{
	"usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/", "usr/share/bug/", "usr/share/doc-base/", "usr/share/bash-completion/", "usr/share/zsh/", "usr/share/fish/",
	"usr/share/applications/", "usr/share/icons/", "usr/share/pixmaps/", "usr/share/menu/", "usr/share/gdb/", "usr/share/apport/", "usr/share/initramfs-tools/", "usr/share/gitweb/", "usr/share/perl5/", "usr/share/perl/", "usr/share/mc/help/mc.hlp.",
	"usr/share/qemu/openbios", "usr/share/qemu/skiboot", "usr/share/qemu/s390", "usr/share/qemu/u-boot", "usr/share/qemu/palcode", "usr/share/qemu/hppa", "usr/share/qemu/opensbi", "usr/share/qemu/canyonlands",
	"usr/lib/systemd/", "usr/lib/udev/", "usr/lib/tmpfiles.d/", "usr/lib/sysusers.d/", "usr/lib/python3", "usr/share/python3", "usr/lib/modprobe.d/aliases", "usr/include/", "usr/lib/x86_64-linux-gnu/perl",
	"etc/apparmor.d/", "etc/apt/", "etc/bash_completion.d/", "etc/cron.", "etc/default/", "etc/dpkg/", "etc/update-motd.d/", "etc/issue", "etc/init.d/", "etc/init/", "etc/kernel/", "etc/logcheck/", "etc/logrotate.d/", "etc/pam.d/", "etc/rc", "etc/runit/", "etc/security/", "etc/sv/", "etc/systemd/", "etc/ufw/", "etc/udev/", "etc/ca-certificates/", "etc/init",
	"usr/lib/x86_64-linux-gnu/gconv/", "usr/lib/x86_64-linux-gnu/tc/q_atm.so", "usr/sbin/xfs_scrub", "usr/bin/git-shell", "usr/sbin/invoke-rc.d", "usr/share/i18n/", "usr/share/polkit-1/",
	"var/", "dev/", "proc/", "run/", "sys/", "boot/",
}

// Left says that a file stays out of the tools layer.
func Left(p string) bool {
	return slices.ContainsFunc(left, func(l string) bool { return strings.HasPrefix(p, l) })
}

// alternatives are the links that packages' scripts would have made.
var alternatives = map[string]string{
	"usr/bin/awk": "gawk", "usr/bin/editor": "nano", "usr/bin/nc": "nc.openbsd", "usr/bin/netcat": "nc.openbsd", "usr/bin/pager": "less", "usr/bin/sh": "dash",
	"usr/bin/vi": "vim.tiny", "usr/bin/view": "vim.tiny", "usr/bin/which": "which.debianutils",
	"usr/sbin/iptables": "iptables-nft", "usr/sbin/iptables-save": "iptables-nft-save", "usr/sbin/iptables-restore": "iptables-nft-restore",
	"usr/sbin/ip6tables": "ip6tables-nft", "usr/sbin/ip6tables-save": "ip6tables-nft-save", "usr/sbin/ip6tables-restore": "ip6tables-nft-restore",
	"usr/sbin/arptables": "arptables-nft", "usr/sbin/ebtables": "ebtables-nft",
	"usr/sbin/ovs-vswitchd": "../lib/openvswitch-switch/ovs-vswitchd",
}

// Alternatives makes those links whose target is there.
func Alternatives(t *tree.Tree) {
	for at, to := range alternatives {
		if t.Get(path.Join(path.Dir(at), to)) != nil {
			t.Link(at, to)
		}
	}
}
