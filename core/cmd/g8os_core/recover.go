package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/local"
	"github.com/g8os/g8os/core/unlock"
	"github.com/g8os/g8os/core/unlock/keyslot"
	"github.com/g8os/g8os/core/unlock/tpm"
)

// recoverCmd is for when no AC can be had, for now or for ever: the operator's
// key opens the volume as the AC's share would.
type recoverCmd struct {
	Dir    string `help:"Folder with the keys and the encrypted volume." default:"/etc/g8os" type:"path"`
	Mount  string `help:"Where it is mounted." default:"/mnt/etc" type:"path"`
	RunDir string `help:"Folder that says what runs." default:"/run/g8os" type:"path"`
	TPM    string `name:"tpm" help:"TPM 2.0 of the machine: auto, none, or a path, as for run." default:"auto" env:"G8OS_TPM"`

	WithoutTPM bool `name:"without-tpm" help:"The machine has no TPM any more: keep on the disk, in clear, what it kept."`
	GiveUp     bool `name:"give-up" help:"There is no recovery key: move the volume and its keys aside (*.given-up), so that the machine can join as a new node."`
}

func (recoverCmd) Help() string {
	return `The recovery key (g8os recovery show NODE) is read from the terminal, without showing it,
or from stdin. The volume stays open until the machine is off, or g8os_core release; when an
AC is there again, g8os_core goes on with it as it is.

On a machine whose TPM was cleared, or whose board was changed, the TPM that is there
now gets to keep what the old one kept: from then on the node unlocks by itself again,
and to the AC it is the same node. Without the recovery key the content of the volume is
lost: retire the node at the AC (g8os node retire NODE), give up the volume here
(g8os_core recover --give-up), reboot, and approve it as a new node.`
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
	if r.GiveUp {
		return r.giveUp(out)
	}
	key, err := readKey(os.Stdin)
	if err != nil {
		return usageError{err}
	}
	v, err := unlock.Open(unlock.Options{Dir: r.Dir, Mount: r.Mount, RunDir: r.RunDir, Log: log,
		TPM: tpm.New(r.TPM), Recovery: true, WithoutTPM: r.WithoutTPM})
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	opened, err := v.RunRecovery(ctx, key)
	switch {
	case errors.Is(err, keyslot.ErrKey):
		return fmt.Errorf("recover: %w: it is of another node, or of a volume that this one had before; nothing was changed", err)
	case err != nil:
		return fmt.Errorf("recover: %w", err)
	}
	_, err = fmt.Fprintf(out, "the volume is open at %s\n%s", r.Mount, about[opened.TPM])
	return err
}

// about is what is said of the TPM.
var about = map[unlock.TPMUse]string{
	unlock.TPMKeeps: "the node unlocks with the AC again: what that needs is kept\n",
	unlock.TPMLost: "what the TPM kept is not kept any more: the node will need the recovery key at every boot;\n" +
		"run this again when its TPM is there, or with --without-tpm to have the disk keep it, in clear\n",
}

// giveUp makes the disk that of a machine which no AC knows, and destroys nothing.
func (r *recoverCmd) giveUp(out io.Writer) error {
	moved, err := unlock.GiveUp(durable.OS, r.Dir)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	if len(moved) == 0 {
		return errors.New("recover: there is no volume to give up")
	}
	_, err = fmt.Fprintf(out, "moved aside in %s: %s\nreboot now; the machine will ask the AC as a new one\n", r.Dir, strings.Join(moved, ", "))
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
