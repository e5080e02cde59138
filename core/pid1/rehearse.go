package pid1

import (
	"context"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/pid1/cmdline"
	"github.com/g8os/g8os/core/pid1/layers"
)

// Rehearsal is the command of g8os_core that calls Rehearse.
const Rehearsal = "rehearse"

// Rehearse does what PID 1 does from "go" on, and never returns. It is for the
// template of a translated machine, whose clones then find all of it translated
// (lab/vm/rehearsal): the first process of a PID namespace, with a root, mounts
// and a name of its own, which are thrown away with it. What is the one PID 1's
// is left to it: drivers, guest channel, power, watchdog.
func Rehearse() {
	unix.Umask(0o022)
	m := newMachine(slog.New(slog.NewTextHandler(os.Stdout, nil)))
	m.Args = cmdline.Args{Medium: true, NoWatchdog: true, Panic: cmdline.DefaultPanic}
	m.gate = newGate(false)
	m.attend()
	about, err := layers.ReadAbout(layers.ImageFile)
	m.say("image", err)
	m.set(func(f *Facts) { f.Image = about })
	ctx := context.Background()
	m.guarded(func() {
		m.start(ctx, []task{reaping})
		m.start(ctx, soon)
		m.stage2(ctx)
		m.start(ctx, late)
	})
	select {}
}
