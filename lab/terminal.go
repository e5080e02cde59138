package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/creack/pty"
)

// Terminal starts a command at a terminal of its own, of so many rows and
// columns, and returns the end at which a human would sit. Close it.
func Terminal(cmd *exec.Cmd, rows, cols uint16) (*os.File, error) {
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: cols})
	if err != nil {
		return nil, fmt.Errorf("%s at a terminal: %w", filepath.Base(cmd.Path), err)
	}
	return tty, nil
}

// WriteContext writes a context of the lab's operator that knows this AC, and then
// others.
func (a *AC) WriteContext(path string, others ...*AC) error {
	c := a.context()
	for _, o := range others {
		c.AC = append(c.AC, o.URL())
	}
	return c.Save(path, 0o600)
}
