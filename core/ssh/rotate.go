package ssh

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/g8os/g8os/core/durable"
)

// Names of the files of a rotation, in Options.Dir.
const (
	nextKey     = hostKey + ".next" // made, and offered after the present one
	rotatedFile = "rotated"         // the last rotation that came to its end
)

// ErrOverlap is wrapped while both host keys are offered: ask again later.
var ErrOverlap = errors.New("both host keys are offered")

// ErrConfig is wrapped when sshd_config is the operator's, so that the new key
// cannot be offered beside the old one.
var ErrConfig = errors.New("sshd_config was changed by hand")

// Rotate replaces the host key, as a rotation with an id asks for: the new key
// is made and offered beside the old one for overlap, and then alone. OpenSSH's
// clients learn it meanwhile (ssh_config(5), UpdateHostKeys). It may be cut
// short anywhere and asked for again; what is over is not done again. restart
// says that sshd has to be started again to offer what it is to; logins stay.
func (s *Server) Rotate(id string, overlap time.Duration, now time.Time) (restart bool, err error) {
	o := s.o
	if last, err := os.ReadFile(o.path(rotatedFile)); err == nil && strings.TrimSpace(string(last)) == id {
		return false, nil
	}
	next := o.path(nextKey)
	made, err := os.Stat(next)
	switch {
	case errors.Is(err, fs.ErrNotExist) && overlap > 0 && !isDefault(o):
		return false, fmt.Errorf("offer a new host key beside the old one: %w: rotate without an overlap, or move %s away", ErrConfig, o.path(configFile))
	case errors.Is(err, fs.ErrNotExist):
		if err := makeHostKey(next); err != nil {
			return false, err
		}
		restart, made = true, nil
	case err != nil:
		return false, fmt.Errorf("read the next host key: %w", err)
	}
	if err := good(next); err != nil {
		return false, errors.Join(err, os.Remove(next))
	}
	since := now
	if made != nil {
		since = made.ModTime()
	}
	if ends := since.Add(overlap); now.Before(ends) && overlap > 0 {
		return restart, fmt.Errorf("%w until %s", ErrOverlap, ends.UTC().Format(time.RFC3339))
	}
	// The private half alone counts; the other one is made from it.
	if err := durable.Rename(durable.OS, next, o.path(hostKey)); err != nil {
		return false, err
	}
	_ = os.Remove(next + ".pub") // it helps nobody, and harms nobody
	return true, errors.Join(ensureHostKey(o), durable.Write(durable.OS, o.path(rotatedFile), []byte(id+"\n"), 0o600))
}

// good says whether a file holds a host key.
func good(path string) error {
	raw, err := os.ReadFile(path)
	if err == nil {
		_, err = ssh.ParsePrivateKey(raw)
	}
	if err != nil {
		return fmt.Errorf("the new host key %s: %w", path, err)
	}
	return nil
}
