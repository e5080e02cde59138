package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

type backupCmd struct {
	File string `arg:"" help:"File to make. One that is there is not replaced."`
}

// Run writes the file whole or not at all.
func (b *backupCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := os.Lstat(b.File); !errors.Is(err, fs.ErrNotExist) {
		return exitError{exitUsage, fmt.Errorf("backup %s: there is such a file; choose another name", b.File)}
	}
	f, err := os.CreateTemp(filepath.Dir(b.File), ".backup-*") // mode 0600
	if err != nil {
		return fmt.Errorf("backup %s: %w", b.File, err)
	}
	defer os.Remove(f.Name())
	size, err := c.Backup(s.ctx, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), b.File); err != nil { // replaces nothing
		return fmt.Errorf("backup %s: %w", b.File, err)
	}
	_, err = fmt.Fprintf(s.stdout, "%s: %d bytes, sealed under the master key, which is not in it: keep a copy of that, and of the root's key, elsewhere\n", b.File, size)
	return err
}

type restoreCmd struct {
	File   string `arg:"" help:"A file that g8os backup has made."`
	Config string `help:"Configuration of the AC to fill, on this machine; it must not run." default:"/etc/g8os-ac/ac.toml" placeholder:"FILE"`
}

// Run has g8os_ac do it: nobody can be asked over the network yet.
func (r *restoreCmd) Run(s *session) error {
	program, err := exec.LookPath("g8os_ac")
	if own, failed := os.Executable(); failed == nil {
		if beside := filepath.Join(filepath.Dir(own), "g8os_ac"); isProgram(beside) {
			program, err = beside, nil
		}
	}
	if err != nil {
		return fmt.Errorf("restore: %w; run it on the machine of an AC, where g8os_ac is", err)
	}
	cmd := exec.CommandContext(s.ctx, program, "--config", r.Config, "restore", r.File)
	cmd.Stdout, cmd.Stderr = s.stdout, s.stderr
	err = cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return exitError{max(ended.ExitCode(), exitFailed), nil}
	}
	return err
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
