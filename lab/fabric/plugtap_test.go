package fabric

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/machine"
)

// newSwitch boots a switch in a machine of its own.
func newSwitch(t *testing.T) (context.Context, *Switch) {
	t.Helper()
	ctx, bare := newMachine(t)
	s, err := Boot(ctx, bare.m, bare.dir)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, s
}

// newMachine boots the machine of a switch that does not run.
func newMachine(t *testing.T) (context.Context, *Switch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	dir := t.TempDir()
	mk, err := machine.Create("t", "switch", filepath.Join(dir, "init.log"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mk.Boot(ctx, machine.Spec{Lab: "t", Name: "switch", Hostname: "switch", Control: filepath.Join(dir, "control"), LogDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.PowerOff(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	return ctx, Open(m, dir)
}

// passes reports whether a frame gets from one tap to another before ctx ends:
// it is sent again and again, a switch needs a moment to know of a port.
func passes(ctx context.Context, from, to *os.File, mark byte) error {
	frame := append(bytes.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, mark, 0x88, 0xb5) // broadcast; for experiments (IEEE 802)
	frame = append(frame, bytes.Repeat([]byte{mark}, 64)...)
	buf := make([]byte, 2048)
	for ctx.Err() == nil {
		if _, err := from.Write(frame); err != nil {
			return err
		}
		_ = to.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := to.Read(buf)
		if err == nil && bytes.Equal(buf[:n], frame) {
			return nil
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return ctx.Err()
}

func TestTaps(t *testing.T) {
	ctx, s := newSwitch(t)
	ports := []Port{
		{Machine: "a", NIC: "eth0", MAC: "02:00:00:00:00:0a", Segment: "x"},
		{Machine: "b", NIC: "eth0", MAC: "02:00:00:00:00:0b", Segment: "x"},
	}
	plug := func(p Port) *os.File {
		t.Helper()
		f, err := s.PlugTap(p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	connect := func() {
		t.Helper()
		if err := s.Connect(ctx, "t", []string{"x"}, ports); err != nil {
			t.Fatal(err)
		}
	}
	a, b := plug(ports[0]), plug(ports[1])
	connect()
	if err := passes(ctx, a, b, 1); err != nil {
		t.Fatalf("a to b: %v", err)
	}

	t.Run("the device goes with its file", func(t *testing.T) {
		_ = a.Close()
		h, err := s.handle()
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if _, err := h.LinkByName(ports[0].Name()); !errors.As(err, new(netlink.LinkNotFoundError)) {
			t.Errorf("got %v, want it gone", err)
		}
	})
	t.Run("the next machine gets the same name", func(t *testing.T) {
		a = plug(ports[0])
		connect()
		if err := passes(ctx, a, b, 2); err != nil {
			t.Errorf("a to b: %v", err)
		}
		if err := passes(ctx, b, a, 3); err != nil {
			t.Errorf("b to a: %v", err)
		}
	})
	t.Run("an earlier machine's tap that is still held is taken away", func(t *testing.T) {
		again := plug(ports[0])
		connect()
		if err := passes(ctx, again, b, 4); err != nil {
			t.Errorf("a to b: %v", err)
		}
		if _, err := a.Write(make([]byte, 64)); !errors.Is(err, unix.EBADFD) {
			t.Errorf("the old one: got %v, want EBADFD", err)
		}
	})
}
