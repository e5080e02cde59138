package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/local"
	"github.com/g8os/g8os/core/unlock"
	"github.com/g8os/g8os/core/unlock/keyslot"
)

// recoverCmd is for when no AC can be had, for now or for ever: the operator's
// key opens the volume as the AC's share would.
type recoverCmd struct {
	Dir    string `help:"Folder with the keys and the encrypted volume." default:"/etc/g8os" type:"path"`
	Mount  string `help:"Where it is mounted." default:"/mnt/etc" type:"path"`
	RunDir string `help:"Folder that says what runs." default:"/run/g8os" type:"path"`
}

func (recoverCmd) Help() string {
	return `The recovery key (g8os recovery show NODE) is read from the terminal, without showing it,
or from stdin. The volume stays open until the machine is off, or g8os_core release; when an
AC is there again, g8os_core goes on with it as it is.`
}

// maxTyped bounds what is read as a recovery key, in bytes.
const maxTyped = 1024

// Run opens the volume.
func (r *recoverCmd) Run(ctx context.Context, c *cli, out io.Writer, log *slog.Logger) error {
	if os.Geteuid() != 0 {
		return errors.New("recover: needs root, it mounts; use sudo")
	}
	if st, err := (local.Client{Path: c.Socket}).Status(ctx); err == nil && st.Phase != "network" && st.Phase != "unlock" {
		return fmt.Errorf("recover: the volume is open already, the node is in phase %s", st.Phase)
	}
	key, err := readKey(os.Stdin)
	if err != nil {
		return usageError{err}
	}
	v, err := unlock.Open(unlock.Options{Dir: r.Dir, Mount: r.Mount, RunDir: r.RunDir, Log: log})
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	switch _, err := v.RunRecovery(ctx, key); {
	case errors.Is(err, keyslot.ErrKey):
		return fmt.Errorf("recover: %w: it is of another node, or of a volume that this one had before; nothing was changed", err)
	case err != nil:
		return fmt.Errorf("recover: %w", err)
	}
	_, err = fmt.Fprintf(out, "the volume is open at %s\n", r.Mount)
	return err
}

// readKey reads a recovery key from a terminal, or from what is piped in.
func readKey(in *os.File) (api.Secret, error) {
	var text []byte
	var err error
	if term.IsTerminal(int(in.Fd())) {
		fmt.Fprint(os.Stderr, "recovery key: ")
		text, err = term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(os.Stderr)
	} else {
		text, err = io.ReadAll(io.LimitReader(in, maxTyped))
	}
	if err != nil {
		return nil, fmt.Errorf("read the recovery key: %w", err)
	}
	return api.ParseRecovery(string(text))
}
