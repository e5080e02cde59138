package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Channel is an opened port. Reads end with io.EOF while no host is there;
// writes wait for one.
type Channel interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
}

// ErrNoPort is wrapped when the machine has no port of that name (yet).
var ErrNoPort = errors.New("there is no such virtio-serial port")

// findPort returns the device of a virtio-serial port, below a root: its name
// is known to sysfs only, the links in /dev/virtio-ports are udev's.
func findPort(root, name string) (string, error) {
	names, err := filepath.Glob(filepath.Join(root, "sys/class/virtio-ports/*/name"))
	if err != nil {
		return "", err
	}
	for _, path := range names {
		text, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(text)) == name {
			return filepath.Join(root, "dev", filepath.Base(filepath.Dir(path))), nil
		}
	}
	return "", fmt.Errorf("port %s: %w", name, ErrNoPort)
}

// openPort opens the guest channel. It must not block: a blocking write of the
// driver spins with interrupts off until the host has read.
func openPort(context.Context) (Channel, error) {
	path, err := findPort("/", Port)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("port %s: %w: %w", Port, ErrNoPort, err)
	}
	if err != nil {
		return nil, fmt.Errorf("port %s: %w", Port, err)
	}
	return f, nil
}
