package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// minutes is a limit for what is emulated.
func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

// firmware is a way a machine boots from a stick, and what it is called on the
// segment.
type firmware struct{ name, mac, address string }

var firmwares = []firmware{
	{"uefi", "52:54:00:71:00:20", "192.168.71.20"},
	{"bios", "52:54:00:71:00:21", "192.168.71.21"},
}

// key is the form of the fingerprint that a console shows.
var key = regexp.MustCompile(`\b([0-9a-f]{4}(?:-[0-9a-f]{4}){3})\b`)

// imageSpecs boot the image from USB, with nothing but what an operator puts
// on the stick, next to the controller that the packages have made.
func imageSpecs(dir *string, ac **vm) {
	Context("as an image on a USB stick", Label("image"), func() {
		var booted *vm
		JustAfterEach(func() { tell(booted) })

		for _, f := range firmwares {
			It("boots through "+f.name+", asks to be let in, and is managed", func(ctx SpecContext) {
				stick := write(ctx, *dir, f, (*ac).sh(ctx, "cat /etc/g8os-ac/operators/ca.pem"))
				m := f.boot(*dir, stick)
				booted = m
				shown := key.FindStringSubmatch(m.says(ctx, minutes(4), key.String()))[1]
				n := known(ctx, *ac, shown, "pending", "")
				(*ac).sh(ctx, operator+"g8os node approve %s", n.ID)
				known(ctx, *ac, shown, "enrolled", "managed")
				Expect((*ac).sh(ctx, ssh(f.address, 22)+"cat /etc/hostname")).To(Equal(f.name))
				Expect((*ac).sh(ctx, operator+"g8os exec %s -- cat /proc/1/comm", n.ID)).To(BeElementOf("init", "g8os_core"))
				Expect(m.says(ctx, soon, "(?i)managed")).NotTo(MatchRegexp(`(?i)kernel panic|oops:|out of memory`))
			}, SpecTimeout(minutes(8)))
		}
	})
}

// write is what the README says: the image, copied to a stick, with the pinned
// CA, net.toml and a host name in the folder g8os of its first partition.
func write(ctx context.Context, dir string, f firmware, ca string) string {
	GinkgoHelper()
	stick := filepath.Join(dir, f.name+".stick")
	ok(tool(ctx, "cp", "--sparse=always", artefact("g8os.img", "make image"), stick))
	boot := fmt.Sprintf("%s@@%d", stick, firstPartition(ctx, stick))
	for name, text := range map[string]string{
		"ca.pem":   ca + "\n",
		"hostname": f.name + "\n",
		"net.toml": "controllers = [\"" + acURL + "\"]\n\n[interface.eth0]\nmethod = \"static\"\naddress = [\"" + f.address + "/24\"]\n",
	} {
		path := filepath.Join(dir, f.name+"."+name)
		ok(os.WriteFile(path, []byte(text), 0o644))
		ok(tool(ctx, "mcopy", "-o", "-i", boot, path, "::g8os/"+name))
	}
	return stick
}

// begins is where sgdisk says that a partition does, in sectors of 512 bytes.
var begins = regexp.MustCompile(`First sector: (\d+)`)

// firstPartition is where it begins, in bytes.
func firstPartition(ctx context.Context, disk string) int64 {
	GinkgoHelper()
	out, err := exec.CommandContext(ctx, "sgdisk", "-i", "1", disk).Output()
	ok(err)
	said := begins.FindSubmatch(out)
	Expect(said).NotTo(BeNil(), "sgdisk -i 1 %s: %s", disk, out)
	sector, err := strconv.ParseInt(string(said[1]), 10, 64)
	ok(err)
	return sector * 512
}

// boot plugs the stick in and switches on.
func (f firmware) boot(dir, stick string) *vm {
	GinkgoHelper()
	args := append(machine(dir, f.name, 1024),
		"-device", "qemu-xhci", "-drive", "if=none,id=stick,format=raw,file="+stick, "-device", "usb-storage,drive=stick,bootindex=0", "-vga", "std")
	args = append(args, plug(dir, f.name, f.mac)...)
	if f.name == "uefi" {
		vars, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS_4M.fd")
		ok(err, "ci/install e2e installs it")
		own := filepath.Join(dir, f.name+".vars")
		ok(os.WriteFile(own, vars, 0o644))
		args = append(args, "-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd", "-drive", "if=pflash,format=raw,file="+own)
	}
	return start(dir, f.name, args)
}
