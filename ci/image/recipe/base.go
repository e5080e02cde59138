// Package recipe says what the image is made of: which packages, which of
// their files, which modules of the kernel, and the files we write ourselves.
//
// It promises that Key changes when any of that does: layers are kept under it.
// Nothing here runs anything; package main puts the layers together.
package recipe

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// The source of this package is part of the recipe.
//
//go:embed *.go skeleton
var source embed.FS

// Key returns the hash of the recipe with all else that a layer depends on.
func Key(and ...string) string {
	h := sha256.New()
	err := fs.WalkDir(source, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := source.ReadFile(p)
		fmt.Fprintf(h, "%s %d\n%s", p, len(text), text)
		return err
	})
	if err != nil {
		panic(err) // the files are in the binary
	}
	for _, a := range and {
		fmt.Fprintf(h, "%d %s", len(a), a)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// KernelPackage is what asks for Debian's newest kernel; the package with the
// kernel itself has its version in its name.
const (
	KernelPackage = "linux-image-amd64"
	KernelPrefix  = "linux-image-6"
)

// A Take is what the base takes of a package: files, or folders ending in /.
type Take struct {
	Package string
	Paths   []string
}

// Base is what reaches managed by itself. The libraries these programs need
// are found among Libraries.
var Base = []Take{
	{"busybox", []string{"usr/bin/busybox"}},
	{"e2fsprogs", []string{"usr/sbin/e2fsck", "usr/sbin/fsck.ext4", "usr/sbin/mke2fs", "usr/sbin/mkfs.ext4", "usr/sbin/tune2fs", "usr/sbin/resize2fs", "etc/mke2fs.conf"}},
	{"ethtool", []string{"usr/sbin/ethtool"}},
	{"fuse3", []string{"usr/bin/fusermount3"}},
	{"iproute2", []string{"usr/bin/ip", "usr/bin/ss", "usr/sbin/bridge", "etc/iproute2/"}},
	{"openssh-server", []string{"usr/sbin/sshd"}},
}

// Libraries are the packages in which the base's programs find what they are
// linked with; of each only what is needed is taken.
var Libraries = []string{
	"libaudit1", "libblkid1", "libbpf1", "libbsd0", "libc6", "libcap2", "libcap-ng0", "libcom-err2", "libcrypt1",
	"libdb5.3", "libelf1", "libext2fs2", "libgcc-s1", "libgcrypt20", "libgpg-error0", "libgssapi-krb5-2", "libk5crypto3",
	"libkeyutils1", "libkrb5-3", "libkrb5support0", "liblz4-1", "liblzma5", "libmd0", "libmnl0", "libnsl2",
	"libpam0g", "libpcre2-8-0", "libselinux1", "libss2", "libssl3", "libsystemd0", "libtirpc3", "libuuid1", "libwrap0",
	"libxtables12", "libzstd1", "zlib1g",
}

// Loaded are libraries that programs look for when they run.
var Loaded = []string{"libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"}
