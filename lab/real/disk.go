package real

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

// answers is within what a command inside a node has to end.
const answers = 20 * time.Second

// inside runs a command in a node and returns what it prints. A code other
// than 0 is an error.
func (g *Grid) inside(ctx context.Context, n *lab.Node, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answers)
	defer cancel()
	r, err := n.Exec(ctx, argv...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s on %s: code %d: %s", argv[0], n.Name(), r.Code, strings.TrimSpace(r.Stderr))
	}
	return r.Stdout, err
}

func (g *Grid) readOnly(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	if !n.Powered() {
		return how("it has no power; its disk is read-only when it has"), nil
	}
	return how("its list of mounts says ro for %s", diskOf(n)), g.setReadOnly(ctx, n)
}

// diskOf is where a node has its disk.
func diskOf(n *lab.Node) string {
	if isVM(n.Plan()) {
		return "/state"
	}
	return "/etc/g8os"
}

// setReadOnly makes a node's disk as the faults in force ask. What was opened
// for writing before keeps a machine's disk from being remounted; the kernel's
// emergency remount does not ask (Linux, admin-guide/sysrq.rst).
func (g *Grid) setReadOnly(ctx context.Context, n *lab.Node) error {
	want := g.l.has(fault.ReadOnly, n.Name())
	is, err := g.isReadOnly(ctx, n)
	if err != nil || is == want {
		return err
	}
	argv := []string{"mount", "-o", map[bool]string{true: "remount,bind,ro", false: "remount,bind,rw"}[want], diskOf(n)}
	if isVM(n.Plan()) {
		argv = []string{"mount", "-o", "remount,rw", diskOf(n)}
		if want {
			argv = []string{"sh", "-c", "echo u >/proc/sysrq-trigger"}
		}
	}
	if _, err := g.inside(ctx, n, argv...); err != nil {
		return err
	}
	return until(ctx, "the disk is remounted", func() (bool, error) {
		is, err := g.isReadOnly(ctx, n)
		return is == want, err
	})
}

func (g *Grid) isReadOnly(ctx context.Context, n *lab.Node) (bool, error) {
	var mounts string
	if isVM(n.Plan()) {
		text, err := g.inside(ctx, n, "cat", "/proc/mounts")
		if err != nil {
			return false, err
		}
		mounts = text
	} else {
		proc, err := g.lab.Init(n.Name())
		if err != nil {
			return false, err
		}
		text, err := os.ReadFile("/proc/" + strconv.Itoa(proc.PID) + "/mounts")
		if err != nil {
			return false, err
		}
		mounts = string(text)
	}
	return mountedReadOnly(mounts, diskOf(n))
}

// mountedReadOnly looks a mount up in /proc/mounts (proc(5)): the last of a
// place is the one that is seen.
func mountedReadOnly(mounts, place string) (is bool, err error) {
	err = fmt.Errorf("nothing is mounted on %s", place)
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) >= 4 && fields[1] == place {
			first, _, _ := strings.Cut(fields[3], ",")
			is, err = first == "ro", nil
		}
	}
	return is, err
}

// fillFile takes all room of a machine's disk.
const fillFile = "/state/.g8lab-full"

func (g *Grid) full(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	if !n.Powered() {
		return how("it has no power; its disk is full when it has"), nil
	}
	return how("not one more block can be written on %s", diskOf(n)), g.setFull(ctx, n)
}

// setFull takes or gives back the room on a machine's disk: ext4 gives a file
// that asks for more than there is all that there is, and then refuses.
func (g *Grid) setFull(ctx context.Context, n *lab.Node) error {
	if !g.l.has(fault.DiskFull, n.Name()) {
		_, err := g.inside(ctx, n, "rm", "-f", fillFile)
		return err
	}
	_, err := g.inside(ctx, n, "sh", "-c", `
		fallocate -l 68719476736 "$0" 2>/dev/null
		! dd if=/dev/zero of="$0.more" bs=4096 count=1 2>/dev/null
		code=$?; rm -f "$0.more"; exit $code`, fillFile)
	return err
}

// damage is what is written over the middle of a file.
const damage = "damaged"

// damageSlots damages the key-slot file, beside which there is a copy.
func (g *Grid) damageSlots(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	if isVM(n.Plan()) {
		return g.damageInside(ctx, n, "/etc/g8os/keyslots")
	}
	path := filepath.Join(n.Disk(), "keyslots")
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return grid.Measured{}, fmt.Errorf("%s has no key-slot file yet", n.Name())
	}
	if err != nil {
		return grid.Measured{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt([]byte(damage), st.Size()/2)
	}
	return how("%d bytes in the middle of %s were overwritten", len(damage), path), err
}

// damageCertificate damages the certificate in the open volume.
func (g *Grid) damageCertificate(ctx context.Context, e entry) (grid.Measured, error) {
	n, err := g.lab.FindNode(e.Fault.On)
	if err != nil {
		return grid.Measured{}, err
	}
	return g.damageInside(ctx, n, "/mnt/etc/ssl/client.crt")
}

func (g *Grid) damageInside(ctx context.Context, n *lab.Node, path string) (grid.Measured, error) {
	if g.l.has(fault.Pause, n.Name()) {
		return grid.Measured{}, fmt.Errorf("%s is paused, so nothing can be written there", n.Name())
	}
	_, err := g.inside(ctx, n, "sh", "-ec", `
		f=$(readlink -f "$0")
		size=$(wc -c <"$f")
		printf %s "$1" | dd of="$f" bs=1 seek=$((size/2)) conv=notrunc 2>/dev/null
		sync
		grep -q "$1" "$f"`, path, damage)
	if err != nil {
		return grid.Measured{}, fmt.Errorf("damage %s: %w; is the volume open?", path, err)
	}
	return how("%d bytes in the middle of %s were overwritten", len(damage), path), nil
}
