// Package tpmtest gives tests a TPM 2.0: swtpm, one process for each.
//
// It promises that nothing is left of it after the test. A test on a machine
// without swtpm is skipped with a line that says so; ci/install brings it.
package tpmtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/g8os/g8os/core/unlock/tpm"
)

// Chip is one TPM of a machine that can be switched off and on.
type Chip struct {
	t   testing.TB
	dir string
	run *exec.Cmd
}

// New makes a TPM and switches it on.
func New(t testing.TB) *Chip {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Skip("swtpm is not installed: ci/install test")
	}
	dir, err := os.MkdirTemp("", "tpm") // a short path: sockets have a limit
	if err != nil {
		t.Fatal(err)
	}
	c := &Chip{t: t, dir: dir}
	t.Cleanup(func() {
		c.Off()
		_ = os.RemoveAll(dir)
	})
	c.On()
	return c
}

// TPM returns it as a node sees it.
func (c *Chip) TPM() tpm.TPM { return tpm.New(c.socket()) }

func (c *Chip) socket() string { return filepath.Join(c.dir, "s") }

// On gives it power: that is a reset, as at every boot.
func (c *Chip) On() {
	c.t.Helper()
	c.run = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+c.dir, "--server", "type=unixio,path="+c.socket(),
		"--flags", "not-need-init,startup-clear")
	if err := c.run.Start(); err != nil {
		c.t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := c.TPM().Counts(); err == nil {
			return
		}
	}
	c.t.Fatal("swtpm does not answer")
}

// Off takes its power away, at once.
func (c *Chip) Off() {
	if c.run == nil {
		return
	}
	_ = c.run.Process.Kill()
	_ = c.run.Wait()
	c.run = nil
	_ = os.Remove(c.socket())
}

// Boot switches the machine off and on.
func (c *Chip) Boot() {
	c.t.Helper()
	c.Off()
	c.On()
}

// Clear makes it a new TPM, as a firmware's setup does, or another board.
func (c *Chip) Clear() {
	c.t.Helper()
	c.Off()
	if err := os.Remove(filepath.Join(c.dir, "tpm2-00.permall")); err != nil {
		c.t.Fatal(err)
	}
	c.On()
}
