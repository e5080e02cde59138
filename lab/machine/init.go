package machine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/forward"
)

// init turns a process named g8lab-init into the init of a machine, before
// main and before most of what the program would otherwise set up.
func init() {
	if os.Args[0] != initName {
		return
	}
	if err := runInit(); err != nil {
		fmt.Fprintln(os.Stderr, initName+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runInit is the life of a machine.
func runInit() error {
	if os.Getpid() != 1 {
		return errors.New("is the init of a lab's machine, started by g8lab only")
	}
	line, err := bufio.NewReader(os.Stdin).ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		return errors.New("the maker went away before it sent a spec; nothing was done")
	}
	if err != nil {
		return fmt.Errorf("read spec: %w", err)
	}
	var spec Spec
	if err := json.Unmarshal(line, &spec); err != nil {
		return fmt.Errorf("read spec: %w", err)
	}
	serve, err := setUp(spec)
	answer := response{}
	if err != nil {
		answer.Error = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(answer)
	if err != nil {
		return err
	}
	if err := detach(); err != nil {
		return err
	}
	return serve()
}

// setUp makes the machine what its spec says. Whatever is reached by a path
// of the host is opened before the mounts hide it.
func setUp(spec Spec) (serve func() error, err error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("machine", spec.Name)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	control, err := net.Listen("unix", spec.Control)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", spec.Control, err)
	}
	logs, err := os.OpenRoot(spec.LogDir)
	if err != nil {
		return nil, fmt.Errorf("log directory %s: %w", spec.LogDir, err)
	}
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return nil, fmt.Errorf("host name %q: %w", spec.Hostname, err)
	}
	if err := mountAll(spec); err != nil {
		return nil, err
	}
	if err := setUpNet(spec); err != nil {
		return nil, err
	}
	for i, to := range spec.Forwards {
		if err := serveForward(3+i, to, log); err != nil {
			return nil, err
		}
	}
	procs := newProcs(logs, log)
	if spec.Relay != nil {
		procs.relay = newRelay(*spec.Relay, log)
		if err := procs.relay.serve(); err != nil {
			return nil, err
		}
	}
	return func() error { return procs.serve(control) }, nil
}

// serveForward hands connections of a listener of the host's namespace to an
// address of the machine's own.
func serveForward(fd int, to string, log *slog.Logger) error {
	f := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(f)
	_ = f.Close()
	if err != nil {
		return fmt.Errorf("listener to forward to %s: %w", to, err)
	}
	go forward.Serve(l, to, log)
	return nil
}

// detach lets go of the maker's pipes.
func detach() error {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 2 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return fmt.Errorf("detach fd %d: %w", fd, err)
		}
	}
	return nil
}
