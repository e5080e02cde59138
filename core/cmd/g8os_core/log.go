package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/g8os/g8os/core/bootlog"
)

type logCmd struct {
	Boot int    `help:"Which boot: 0 the present one, -1 the one before, down to ${oldest}." default:"0"`
	Dir  string `help:"Folder of the logs." default:"${logs}" type:"path"`
}

// Run prints the boot log.
func (l *logCmd) Run(out io.Writer) error {
	if l.Boot > 0 || l.Boot < bootlog.Oldest {
		return usageError{fmt.Errorf("log --boot=%d: want 0, or -1 to %d", l.Boot, bootlog.Oldest)}
	}
	path := bootlog.Path(l.Dir, l.Boot)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no log of that boot is kept; one is written where g8os_core is PID 1, and kept over a reboot on a state disk only", path)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}
