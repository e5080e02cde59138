package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
)

// What a clean Debian has. What our packages depend on is only downloaded, so
// that apt finds it on a machine without a network and installs it as it does
// anywhere. Change a line here and it is made anew.
const (
	suite    = "bookworm"
	has      = "systemd-sysv,dbus,udev,kmod,linux-image-cloud-amd64,initramfs-tools,qemu-guest-agent,openssh-client,iproute2,procps"
	download = "openssh-server fuse3 iproute2 adduser"
	diskSize = 2 << 30
	recipe   = 2 // of makeDebian
)

// debian is a disk with a clean Debian, and what boots it.
type debian struct{ disk, kernel, initrd string }

// cleanDebian returns it, and makes it when it is not there.
func cleanDebian(ctx context.Context) debian {
	GinkgoHelper()
	key := sha256.Sum256([]byte(strings.Join([]string{suite, has, download, fmt.Sprint(diskSize, recipe)}, "\n")))
	dir, err := filepath.Abs(filepath.Join(cacheDir, fmt.Sprintf("debian-%x", key[:6])))
	ok(err)
	d := debian{filepath.Join(dir, "disk"), filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "initrd")}
	if _, err := os.Stat(dir); err == nil {
		return d
	}
	By("making a clean Debian in " + dir + " (two minutes, once)")
	ok(os.RemoveAll(cacheDir), "what an earlier recipe has made")
	aside := dir + ".new"
	ok(os.MkdirAll(aside, 0o755))
	ok(makeDebian(ctx, aside))
	ok(os.Rename(aside, dir))
	return d
}

func makeDebian(ctx context.Context, dir string) error {
	root := filepath.Join(dir, "root")
	args := []string{"--variant=minbase", "--mode=root", "--skip=cleanup/apt", "--aptopt=APT::Install-Recommends \"false\"", "--include=" + has,
		// The initrd is made; making it anew for each package takes minutes.
		"--customize-hook=echo update_initramfs=no >\"$1/etc/initramfs-tools/update-initramfs.conf\"",
		"--customize-hook=chroot \"$1\" apt-get install -y --download-only --no-install-recommends " + download, suite, root}
	if mirror := os.Getenv("MIRROR"); mirror != "" {
		args = append(args, mirror)
	}
	if err := tool(ctx, "mmdebstrap", args...); err != nil {
		return fmt.Errorf("%w; does Debian's archive answer? MIRROR=URL names another one", err)
	}
	disk := filepath.Join(dir, "disk")
	if err := os.WriteFile(disk, nil, 0o644); err != nil {
		return err
	}
	return errors.Join(
		only(filepath.Join(root, "boot/vmlinuz-*"), filepath.Join(dir, "vmlinuz")),
		only(filepath.Join(root, "boot/initrd.img-*"), filepath.Join(dir, "initrd")),
		os.Truncate(disk, diskSize),
		tool(ctx, "mkfs.ext4", "-q", "-F", "-d", root, disk),
		os.RemoveAll(root),
	)
}

// only copies the one file that a pattern finds.
func only(pattern, to string) error {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%s: want one, there are %d: %w", pattern, len(found), err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

// tool runs a program, and gives the end of what it said when it fails.
func tool(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, tail(string(out), 12))
	}
	return nil
}

// boot starts a machine with a copy of the clean Debian, the packages on a
// second disk, and the given network.
func (d debian) boot(ctx context.Context, dir, name, packages string, network ...string) *vm {
	GinkgoHelper()
	disk, socket := filepath.Join(dir, name+".qcow2"), filepath.Join(dir, name+".agent")
	ok(tool(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", d.disk, disk))
	args := append(machine(dir, name, 512),
		"-kernel", d.kernel, "-initrd", d.initrd, "-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 no_timer_check panic=30",
		"-drive", "if=virtio,format=qcow2,file="+disk, "-drive", "if=virtio,format=raw,readonly=on,file="+packages,
		"-chardev", "socket,id=agent,server=on,wait=off,path="+socket, "-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
	m := start(dir, name, append(args, network...))
	m.agent = &agent{socket: socket}
	return m
}
