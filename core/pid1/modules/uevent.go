package modules

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Event is what the kernel says about a device (kobject_uevent).
type Event struct {
	Action string            // add, remove, change, …
	Path   string            // below /sys
	Vars   map[string]string // SUBSYSTEM, DEVNAME, MODALIAS, …
}

// ParseEvent reads one message, "ACTION@PATH\0KEY=VALUE\0…".
func ParseEvent(msg []byte) (Event, error) {
	head, rest, _ := strings.Cut(string(msg), "\x00")
	action, path, ok := strings.Cut(head, "@")
	if !ok || action == "" || !strings.HasPrefix(path, "/") {
		return Event{}, fmt.Errorf("uevent: %.60q is not ACTION@PATH", head)
	}
	ev := Event{Action: action, Path: path, Vars: map[string]string{}}
	for kv := range strings.SplitSeq(rest, "\x00") {
		if k, v, ok := strings.Cut(kv, "="); ok {
			ev.Vars[k] = v
		}
	}
	return ev, nil
}

// Events is the kernel's stream of events.
type Events struct{ file *os.File }

// receiveBuffer takes the burst of a big machine's start; it is not allocated
// before it is used.
const receiveBuffer = 16 << 20

// ErrLost says that events came faster than they were read: whoever keeps a
// picture of the devices must look again.
var ErrLost = errors.New("events of devices were lost")

// Listen opens the stream. What comes from now on is kept until it is read.
func Listen() (*Events, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("listen for devices: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) // smaller works as well, with ErrLost
	const kernelGroup = 1
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen for devices: %w", err)
	}
	return &Events{file: os.NewFile(uintptr(fd), "uevents")}, nil
}

// Next waits for the next event. ErrLost is wrapped when some are missing; the
// stream goes on.
func (e *Events) Next() (Event, error) {
	buf := make([]byte, 16<<10)
	for {
		n, err := e.file.Read(buf)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			return Event{}, fmt.Errorf("%w: %w", ErrLost, err)
		case err != nil:
			return Event{}, fmt.Errorf("events of devices: %w", err)
		}
		if ev, err := ParseEvent(buf[:n]); err == nil { // libudev's own format goes to another group
			return ev, nil
		}
	}
}

// Close ends the stream.
func (e *Events) Close() error { return e.file.Close() }
