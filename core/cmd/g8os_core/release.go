package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	programs "github.com/g8os/g8os/core/jobs/run"
	"github.com/g8os/g8os/core/local"
	"github.com/g8os/g8os/core/node"
	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/unlock/volume"
)

// releaseCmd is for who takes G8OS off a machine: jobs, services, sshd and the volume outlive
// g8os_core so that the next one can adopt them, and there will be no next one.
type releaseCmd struct {
	Dir    string `help:"Folder with the encrypted volume." default:"/etc/g8os" type:"path"`
	Mount  string `help:"Where it is mounted." default:"/mnt/etc" type:"path"`
	RunDir string `help:"Folder that says what runs." default:"/run/g8os" type:"path"`
}

// Run ends jobs, services and sshd first: they have files of the volume open.
func (r *releaseCmd) Run(ctx context.Context, c *cli, log *slog.Logger) error {
	if st, err := (local.Client{Path: c.Socket}).Status(ctx); err == nil {
		return fmt.Errorf("release: %w as pid %d: stop it first (systemctl stop g8os-core)", local.ErrRunning, st.PID)
	}
	return r.end(ctx, log)
}

// end ends what outlives a g8os_core.
func (r *releaseCmd) end(ctx context.Context, log *slog.Logger) error {
	left := programs.New(programs.Options{Dir: filepath.Join(r.RunDir, "jobs"), Log: log})
	for _, id := range left.Left() {
		if err := left.End(id); err != nil && !errors.Is(err, programs.ErrNeverStarted) {
			log.Warn("a job goes on", "job", id, "error", err)
		}
	}
	node.EndServices(r.RunDir, log)
	sshd, err := process.Adopt(process.Spec{Name: "sshd", RunDir: r.RunDir, Log: log})
	switch {
	case err == nil:
		err = sshd.Stop(ctx)
	case errors.Is(err, process.ErrNotRunning):
		err = nil
	}
	v := volume.New(volume.Options{Cipher: filepath.Join(r.Dir, "private"), Mount: r.Mount, RunDir: r.RunDir, Log: log})
	return errors.Join(err, v.Unmount(ctx))
}
