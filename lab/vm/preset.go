package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/frozen"
	"github.com/g8os/g8os/lab/vm/rehearsal"
	"github.com/g8os/g8os/lab/vm/template"
	"github.com/g8os/g8os/lab/vm/transient"
)

// DefaultMemoryMiB is what a node gets that does not say. While it boots, the
// initramfs is there twice, packed and unpacked: it must not be much less.
const DefaultMemoryMiB = 256

// Append is the kernel's command line of a node of the lab. no_timer_check:
// guests started in a crowd under TCG panic without it ("IO-APIC + timer
// doesn't work"). rootfstype=ramfs: the kernel's tmpfs takes half of what is
// left of a small machine's memory and no more, and cuts off the initramfs.
// What is slow in a translated guest and guards it against nothing is off: an
// emulated processor does not speculate. A lockup that is only a busy host
// would be a report of nothing. The translator knows code by its address too:
// without random ones (norandmaps, nokaslr) what two processes share is
// translated once, and a clone takes a fifth less. highres=off spares the
// timer's interrupts; sleeps are as long as 4 ms then.
const Append = "console=ttyS0 no_timer_check panic=30 quiet rootfstype=ramfs mitigations=off audit=0 nowatchdog init_on_alloc=0 rcupdate.rcu_expedited=1 norandmaps nokaslr highres=off g8os.medium g8os.guest"

// Hold makes a guest wait at the gate, for a template to be made of it.
const Hold = " g8os.hold"

// Machine is a node of the lab that boots a kernel directly and waits at the
// gate: what templates are made of, and what --cold boots. More of a command
// line can be in kernel.Append.
func Machine(accel string, memoryMiB, cpus int, kernel args.Kernel) args.Spec {
	line := Append + Hold
	if kernel.Append != "" {
		line += " " + kernel.Append
	}
	kernel.Append = line
	return args.Spec{Accel: accel, MemoryMiB: memoryMiB, CPUs: cpus, Kernel: &kernel, Warm: warm}
}

// Wanted says of what machine a template is wanted, for machines whose programs
// are in a folder. Where g8frozen.so is among them, clones become the template,
// which has rehearsed to be a node at the g8os_ac beside it.
func Wanted(cache, programs string, spec args.Spec, say func(string, ...any)) template.Options {
	o := template.Options{Cache: cache, Spec: spec, Say: say, Library: frozen.Library(programs)}
	controller := filepath.Join(programs, "g8os_ac")
	if _, err := os.Stat(controller); err == nil && o.Library != "" {
		o.Rehearse = rehearsal.With(controller)
	}
	return o
}

// warm has the programs that every node runs unpacked once, before it is copied:
// clones share the pages, and need not unpack them again. Nothing of a node
// comes of it.
const warm = `cd /usr
cat sbin/sshd bin/gocryptfs lib/x86_64-linux-gnu/libcrypto.so.3 >/dev/null
gocryptfs -version; sshd -V; fsck.ext4 -V; ip -V; g8os_core version
true`

// Cache is where templates, base images and verdicts are kept.
func Cache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil { // a service without a home
		if os.Geteuid() != 0 {
			return "", fmt.Errorf("no place for templates of machines: %w", err)
		}
		dir = "/var/cache"
	}
	return filepath.Join(dir, "g8lab"), nil
}

// Transient is a Runner whose machine dies with this process.
type Transient struct{ vm *transient.VM }

// Start runs QEMU as a child.
func (t *Transient) Start(_ context.Context, argv []string) (err error) {
	t.vm, err = transient.Start(argv)
	return err
}

// Ended tells how QEMU ended.
func (t *Transient) Ended(context.Context) (string, bool) {
	select {
	case <-t.vm.Ended():
		return errors.Join(errors.New("QEMU ended"), t.vm.Err()).Error(), true
	default:
		return "", false
	}
}

// PID is that of QEMU.
func (t *Transient) PID() int { return t.vm.PID() }

// Close ends the machine.
func (t *Transient) Close() error {
	if t.vm == nil {
		return nil
	}
	return t.vm.Close()
}
