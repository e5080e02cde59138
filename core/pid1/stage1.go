package pid1

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/pid1/cmdline"
	"github.com/g8os/g8os/core/pid1/layers"
	"github.com/g8os/g8os/core/pid1/modules"
)

const baseImage = "/base.squashfs"

// earlyModules are what the base needs; they are in the initramfs.
var earlyModules = []string{"loop", "squashfs", "overlay"}

// unannounced are modules that every node wants, and no device asks for.
var unannounced = []string{"fuse"}

// stage1 brings up what is the same on every node. What fails is said, and left out.
func (m *Machine) stage1() {
	problems := mountAll("/", kernelMounts)
	m.openLog()
	m.mark("kernel file systems")
	m.say("mount", problems)
	m.readArgs()
	m.makeRoot()
	m.mark("root")
	m.say("mount", mountAll("/", systemMounts))
	m.say("limits", raiseLimits())
	m.say("loopback", loopback())
	m.findModules()
	m.mark("stage 1")
}

func (m *Machine) say(what string, err error) {
	if err != nil {
		m.notice(what, err)
	}
}

func (m *Machine) readArgs() {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		m.notice("kernel arguments", err)
	}
	var problems []error
	m.Args, problems = cmdline.Parse(string(line))
	for _, p := range problems {
		m.notice("kernel arguments", p)
	}
}

// makeRoot switches to the base. Without one the node goes on in the initramfs:
// then g8os_core can at least say how the machine is.
func (m *Machine) makeRoot() {
	m.say("early kernel modules", loadEarly())
	root, err := layers.Base(baseImage)
	if err == nil {
		m.say("initramfs", os.RemoveAll("/lib/modules")) // memory; they are in the base too
		err = layers.Switch(root)
	}
	if err != nil {
		m.notice("no base layer, the node goes on without most programs", err)
		m.say("bare root", layers.Bare("/"))
	}
	_ = os.Setenv("PATH", Path)
	_ = os.Setenv("HOME", "/root")
	about, err := layers.ReadAbout(layers.ImageFile)
	if err != nil {
		m.notice("image", err)
	}
	m.set(func(f *Facts) { f.Image = about })
}

func loadEarly() error {
	dir, err := modulesDir("/lib/modules")
	if err != nil {
		return err
	}
	l, err := modules.NewLoader(os.DirFS(dir))
	if err != nil {
		return err
	}
	return l.Load(earlyModules...)
}

// modulesDir is the folder of the running kernel's modules. An image with
// another kernel's is told plainly.
func modulesDir(root string) (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	release := unix.ByteSliceToString(u.Release[:])
	dir := filepath.Join(root, release)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the image has no modules for this kernel: %s is missing; vmlinuz and initramfs must be of one build", dir)
	}
	return dir, nil
}

// findModules makes ready to load by hardware; nothing is loaded yet.
func (m *Machine) findModules() {
	events, err := modules.Listen() // before the first look: nothing falls between
	if err != nil {
		m.notice("devices that come later are not seen", err)
	}
	m.events = events
	dir, err := modulesDir(layers.BaseDir + "/usr/lib/modules")
	if err == nil {
		m.loader, err = modules.NewLoader(os.DirFS(dir))
	}
	if err != nil {
		m.notice("no kernel modules: only what the kernel has built in works", err)
		return
	}
	m.say("device files", modules.Make("/dev", modules.Nodes(os.DirFS(dir))))
	m.hardware = modules.NewHardware("/sys", m.loader, m.Log)
	m.hardware.Scan() // before anybody asks what is being loaded
}

// load loads modules by name, if there are any.
func (m *Machine) load(names ...string) {
	if m.loader != nil {
		m.say("kernel modules", m.loader.Load(names...))
	}
}

// raiseLimits lets programs raise their number of files; what they begin with
// stays small, as some walk through all of them.
func raiseLimits() error {
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1024, Max: 1 << 20})
}

func loopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}
