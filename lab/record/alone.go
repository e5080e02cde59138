package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Alone runs f while nobody else, in this process or another, runs one under
// the same name: what reads something of the lab, changes it and writes it back.
// Unlike Lock it waits, so f must end soon.
func (r *Record) Alone(name string, f func() error) error {
	file, err := os.OpenFile(filepath.Join(r.Run, name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("%s of lab %s: %w", name, r.Name, err)
	}
	defer file.Close()
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s of lab %s: lock: %w", name, r.Name, err)
	}
	return f()
}
