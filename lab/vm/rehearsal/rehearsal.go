// Package rehearsal has a machine that is to become a template do what each of
// its clones will do: come up as a node, as far as managed, with disks, a card
// and a controller that are there only for this.
//
//	disks, card in ─▶ [ root, names, processes of its own: pid1.Rehearse ─▶ managed ] ─▶ disks, card out
//	                    twice: static and a first boot; DHCP and a later one
//
// It promises that nothing of that node is left in the guest: no file, process,
// mount or interface, nor the name of the boot; what stays is what the kernel has
// loaded and drawn for itself (clones share its secrets against guessed TCP
// sequence numbers), and what QEMU has translated. The controller is in QEMU's
// own network namespace, which has no way out. It is no test of anything: if it
// fails, clones are slower.
package rehearsal

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/guest"
	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/template"
)

// patience is how long a node may take to be managed, and to be taken away.
const patience = 90 * time.Second

// script is what the guest runs: its first word is a folder, the second the
// controller.
//
//go:embed script.sh
var script string

// With is the rehearsal at a controller whose program is given.
func With(controller string) *template.Rehearsal {
	return &template.Rehearsal{Text: script, Perform: func(ctx context.Context, on template.Stage) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		ac, err := startController(ctx, controller, on)
		if err != nil {
			return err
		}
		defer ac.close()
		if err := plug(ctx, on); err != nil {
			return err
		}
		if err = perform(ctx, on, ac.ca); err != nil {
			ac.close()
			err = fmt.Errorf("%w\nits controller: %s", err, lastLines(&ac.said))
		}
		return errors.Join(err, unplug(ctx, on))
	}}
}

// perform runs the script.
func perform(ctx context.Context, on template.Stage, ca []byte) error {
	url := fmt.Sprintf("https://%s:%d", hostAddress, api.Port)
	var said bytes.Buffer
	exit, err := on.Guest.Exec(ctx, guest.Command{Argv: []string{"sh", "-c", script, "rehearsal", url}},
		guest.Stdio{In: bytes.NewReader(ca), Out: &said, Err: &said})
	if err == nil && exit != (guest.Exit{}) {
		err = fmt.Errorf("a node for rehearsal did not get to its end (%+v): %s", exit, lastLines(&said))
	}
	return err
}

// lastLines is the end of what was said.
func lastLines(said *bytes.Buffer) string {
	text := strings.TrimSpace(said.String())
	return text[max(0, len(text)-600):]
}

// hostAddress is where a guest of QEMU's user network finds QEMU's own loopback.
const hostAddress = "10.0.2.2"

// Names of what is plugged in, and where: where a clone has its first card and
// its first disk.
const (
	cardID, netID = "rehearsal-card", "rehearsal-net"
	firstDiskSlot = 6
)

// disk is one that is plugged in: the state disk, the boot medium.
type disk struct {
	name string
	mib  int64
}

var disks = []disk{{"state", 64}, {"medium", 4}}

func (d disk) id() string   { return "rehearsal-" + d.name }
func (d disk) file() string { return d.id() + "-file" }

type command struct {
	name string
	args map[string]any
}

func plug(ctx context.Context, on template.Stage) error {
	commands := []command{
		{"netdev_add", map[string]any{"type": "user", "id": netID}},
		{"device_add", map[string]any{"driver": "virtio-net-pci", "id": cardID, "netdev": netID, "bus": args.RootPort(0), "romfile": ""}},
	}
	for i, d := range disks {
		path := filepath.Join(on.Dir, d.name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, d.mib<<20)); err != nil {
			return err
		}
		commands = append(commands,
			command{"blockdev-add", map[string]any{"driver": "raw", "node-name": d.file(), "file": map[string]any{"driver": "file", "filename": path}}},
			command{"device_add", map[string]any{"driver": "virtio-blk-pci", "id": d.id(), "drive": d.file(), "bus": args.RootPort(firstDiskSlot + i)}})
	}
	for _, c := range commands {
		if err := on.Monitor.Run(ctx, c.name, c.args, nil); err != nil {
			return err
		}
	}
	return nil
}

func unplug(ctx context.Context, on template.Stage) error {
	in := []string{cardID}
	for _, d := range disks {
		in = append(in, d.id())
	}
	for _, id := range in { // all at once: a guest takes seconds
		if err := on.Monitor.Run(ctx, "device_del", map[string]any{"id": id}, nil); err != nil {
			return err
		}
	}
	for _, id := range in {
		if err := on.Monitor.Deleted(ctx, id); err != nil {
			return err
		}
	}
	err := on.Monitor.Run(ctx, "netdev_del", map[string]any{"id": netID}, nil)
	for _, d := range disks {
		err = errors.Join(err, on.Monitor.Run(ctx, "blockdev-del", map[string]any{"node-name": d.file()}, nil))
	}
	return err
}

// controller is a g8os_ac that ends with this process.
type controller struct {
	cmd   *exec.Cmd
	ended chan error
	gone  sync.Once
	ca    []byte
	said  bytes.Buffer // to be read when it has ended
}

// startController starts one on the loopback of QEMU, and waits for its CA.
func startController(ctx context.Context, program string, on template.Stage) (*controller, error) {
	keys, config := filepath.Join(on.Dir, "keys"), filepath.Join(on.Dir, "ac.toml")
	login, err := somebody()
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("grid = \"rehearsal\"\nname = \"ac\"\nlisten = \"127.0.0.1:%d\"\npolicy = \"open\"\ndata_dir = %q\nmaster_key = %q\nca_key = %q\nauthorized_keys = [%q]\n",
		api.Port, filepath.Join(on.Dir, "data"), filepath.Join(keys, "master.key"), filepath.Join(keys, "ca"), login)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	c := &controller{ended: make(chan error, 1), cmd: exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", on.PID), "--",
		"sh", "-c", `ip link set lo up && exec "$0" run --config "$1"`, program, config)}
	c.cmd.Stdout, c.cmd.Stderr = &c.said, &c.said
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the death signal is sent when the thread that forked ends
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.ended <- c.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("controller for rehearsal: %w", err)
	}
	for {
		var err error
		if c.ca, err = os.ReadFile(filepath.Join(keys, "operators", "ca.pem")); err == nil && len(c.ca) > 0 {
			return c, nil
		}
		select {
		case err := <-c.ended:
			return nil, fmt.Errorf("controller for rehearsal: %w: %s", err, lastLines(&c.said))
		case <-ctx.Done():
			c.close()
			return nil, fmt.Errorf("controller for rehearsal: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// somebody is one who may log in: a key whose private half nobody has.
func somebody() (string, error) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), nil
}

func (c *controller) close() {
	_ = c.cmd.Process.Kill()
	c.gone.Do(func() { <-c.ended })
}
