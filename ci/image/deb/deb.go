// Package deb reads Debian packages without installing them: what is in them,
// and what they say they are. No script of a package is run. It needs dpkg-deb,
// which knows every compression Debian uses.
package deb

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Files gives each file of the package at path to each, in the archive's order.
func Files(ctx context.Context, path string, each func(*tar.Header, io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends dpkg-deb when each gave up
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", path)
	// it is several processes, which hold our pipes: all of them have to go
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting dpkg-deb: %w", err)
	}
	if err := walk(tar.NewReader(out), each); err != nil {
		cancel()
		_ = cmd.Wait() // it was ended by us
		return errors.Join(fmt.Errorf("reading %s: %w", path, err), said(&stderr))
	}
	if _, err := io.Copy(io.Discard, out); err != nil { // padding after the end
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if err := cmd.Wait(); err != nil {
		return errors.Join(fmt.Errorf("dpkg-deb %s: %w", path, err), said(&stderr))
	}
	return nil
}

func walk(tr *tar.Reader, each func(*tar.Header, io.Reader) error) error {
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(h, tr); err != nil {
			return err
		}
	}
}

func said(stderr *bytes.Buffer) error {
	if text := strings.TrimSpace(stderr.String()); text != "" {
		return errors.New(text)
	}
	return nil
}
