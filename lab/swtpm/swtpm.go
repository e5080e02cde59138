// Package swtpm says how the TPM 2.0 of a virtual node is run: swtpm, one
// process for each, whose state is a folder of the node that survives power cuts
// and is on none of its disks.
//
// It promises command lines only, and a proof that they work here (Try). Who
// starts the process decides what it dies with: in a lab the init of the node's
// machine, so that both lose power together.
package swtpm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/g8os/g8os/core/unlock/tpm"
)

// Program is looked for on the PATH.
const Program = "swtpm"

// Socket is the command line of a TPM that a process speaks to itself
// (core/unlock/tpm). State has to be an absolute path, or swtpm fails later.
// Starting it is the reset of a machine that boots.
func Socket(state, socket string) []string {
	return []string{Program, "socket", "--tpm2", "--tpmstate", "dir=" + state,
		"--server", "type=unixio,path=" + socket, "--flags", "not-need-init,startup-clear"}
}

// Control is that of the TPM of a QEMU, which resets it as its guest boots.
func Control(state, socket string) []string {
	return []string{Program, "socket", "--tpm2", "--tpmstate", "dir=" + state, "--ctrl", "type=unixio,path=" + socket}
}

// Clear makes it another TPM, as clearing it in a firmware's setup does. It must
// not run.
func Clear(state string) error {
	entries, err := os.ReadDir(state)
	if err != nil {
		return fmt.Errorf("clear the TPM: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "tpm2-") {
			err = errors.Join(err, os.Remove(filepath.Join(state, e.Name())))
		}
	}
	return err
}

// Try runs one, has it keep a secret, and says how long that took.
func Try(ctx context.Context) (found string, err error) {
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "socket")
	argv := Socket(dir, socket)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	chip := tpm.New(socket)
	for {
		if _, err = chip.Counts(); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(5 * time.Millisecond):
		}
	}
	begun := time.Now()
	sealed, err := chip.Seal([]byte("kept"))
	if err != nil {
		return "", err
	}
	if got, err := chip.Unseal(sealed); err != nil || string(got) != "kept" {
		return "", fmt.Errorf("it gave back %d bytes: %w", len(got), err)
	}
	return fmt.Sprintf("swtpm keeps a secret and gives it back in %d ms", time.Since(begun).Milliseconds()), nil
}
