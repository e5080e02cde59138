package real

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab"
)

// KeeperCommand is the command of g8lab that runs Keep.
const KeeperCommand = "keeper"

// glance is how often the keeper looks for faults that were added since, and
// so within what of its end a fault ends.
const glance = 100 * time.Millisecond

// Keep ends every fault of a lab when its time is over, and returns when there
// is none left that ends by itself, or the lab is gone. There is one keeper of
// a lab: a second one returns at once.
func Keep(ctx context.Context, l *lab.Lab) error {
	brief, cancel := context.WithTimeout(ctx, time.Second) // whoever only looks lets go at once
	defer cancel()
	only, err := lock(brief, l.Dir(), keeperLock)
	if brief.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer only.Close()
	if err := l.Own("keeper"); err != nil { // g8lab down ends it from now on
		return err
	}
	g, err := Open(l)
	if err != nil {
		return err
	}
	for pause := glance; ; pause = glance {
		done, err := g.keep(ctx, only)
		if done || errors.Is(err, lab.ErrNoLab) {
			return nil
		}
		if err != nil { // into its log; it is tried again
			fmt.Fprintln(os.Stderr, time.Now().Format(time.RFC3339), err)
			pause = 10 * glance
		}
		if !wait(ctx, pause) {
			return nil
		}
	}
}

// keep heals what is over. When nothing is left it lets go of the keeper's
// lock, while nobody else can add anything.
func (g *Grid) keep(ctx context.Context, only *os.File) (done bool, err error) {
	l, err := loadLedger(g.lab.Dir())
	if err != nil {
		return false, err
	}
	if at, ok := l.next(); ok && at.After(time.Now()) {
		return false, nil
	}
	err = g.change(ctx, func(ctx context.Context) error {
		var failed []error
		for _, e := range g.l.over(time.Now()) {
			failed = append(failed, g.heal(ctx, e))
		}
		if _, left := g.l.next(); !left {
			done = true
			failed = append(failed, only.Close())
		}
		return errors.Join(failed...)
	})
	return done, err
}

// startKeeper starts the lab's keeper, unless it runs. The faults are locked,
// so the one that runs cannot be about to go.
func (g *Grid) startKeeper() error {
	f, err := tryLock(g.lab.Dir(), keeperLock)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	_ = f.Close()
	program, err := g.lab.Program("g8lab")
	if err != nil {
		return fmt.Errorf("a fault that ends by itself needs a keeper: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(g.lab.LogDir(), "keeper.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, "--lab", g.lab.Name(), KeeperCommand)
	cmd.Dir, cmd.Env, cmd.Stderr = "/", append(os.Environ(), "GOMAXPROCS=1"), log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the keeper: %w", err)
	}
	go func() { _ = cmd.Wait() }() // only to reap it if we live that long
	return g.awaitKeeper()
}

// awaitKeeper returns once the keeper has its lock: from then on it is there
// for every fault.
func (g *Grid) awaitKeeper() error {
	for until := time.Now().Add(soon); ; {
		f, err := tryLock(g.lab.Dir(), keeperLock)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil
		}
		if err != nil {
			return err
		}
		_ = f.Close()
		if time.Now().After(until) {
			return fmt.Errorf("the keeper does not come up within %s; see keeper.log", soon)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
