package vm

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/g8os/g8os/internal/qmp"
	"github.com/g8os/g8os/lab/vm/args"
)

func nicID(n int) string  { return "nic" + strconv.Itoa(n) }
func netID(n int) string  { return "net" + strconv.Itoa(n) }
func diskID(n int) string { return "disk" + strconv.Itoa(n) }
func fileID(n int) string { return "file" + strconv.Itoa(n) }

// SetLink pulls the cable of NIC n, or puts it back.
func (v *VM) SetLink(ctx context.Context, n int, up bool) error {
	return v.do(ctx, func(mon *qmp.Conn) error { return setLink(ctx, mon, n, up) })
}

func setLink(ctx context.Context, mon *qmp.Conn, n int, up bool) error {
	return mon.Run(ctx, "set_link", map[string]any{"name": nicID(n), "up": up}, nil)
}

// PlugNIC puts a card in as NIC n and takes its tap.
func (v *VM) PlugNIC(ctx context.Context, n int, nic NIC) error {
	defer nic.Tap.Close()
	if n < 0 || n >= maxNICs {
		return fmt.Errorf("plug NIC %d: a machine has room for %d", n, maxNICs)
	}
	if err := args.CheckMACs([]string{nic.MAC}, []string{nicID(n)}); err != nil {
		return err
	}
	return v.do(ctx, func(mon *qmp.Conn) error { return plugNIC(ctx, mon, n, nic) })
}

func plugNIC(ctx context.Context, mon *qmp.Conn, n int, nic NIC) error {
	fail := func(err error) error { return fmt.Errorf("plug NIC %d (%s): %w", n, nic.MAC, err) }
	net := map[string]any{"type": "user", "restrict": true, "id": netID(n)}
	if nic.Tap != nil {
		if err := mon.Pass(ctx, netID(n), nic.Tap); err != nil {
			return fail(err)
		}
		net = map[string]any{"type": "tap", "id": netID(n), "fd": netID(n)}
	}
	if err := mon.Run(ctx, "netdev_add", net, nil); err != nil {
		return fail(err)
	}
	err := mon.Run(ctx, "device_add", map[string]any{
		"driver": "virtio-net-pci", "id": nicID(n), "netdev": netID(n), "mac": nic.MAC, "bus": args.RootPort(n),
		"romfile": "", // nobody boots from it
	}, nil)
	if err != nil {
		_ = mon.Run(ctx, "netdev_del", map[string]any{"id": netID(n)}, nil)
		return fail(err)
	}
	if nic.LinkDown {
		return setLink(ctx, mon, n, false)
	}
	return nil
}

// HasNIC reports whether NIC n is in.
func (v *VM) HasNIC(ctx context.Context, n int) (bool, error) {
	var devices []struct {
		Name string `json:"name"`
	}
	err := v.do(ctx, func(mon *qmp.Conn) error {
		return mon.Run(ctx, "qom-list", map[string]any{"path": "/machine/peripheral"}, &devices)
	})
	for _, d := range devices {
		if d.Name == nicID(n) {
			return true, nil
		}
	}
	return false, err
}

// UnplugNIC takes NIC n out. The guest has to let it go; one that does not
// before the deadline keeps it.
func (v *VM) UnplugNIC(ctx context.Context, n int) error {
	return v.do(ctx, func(mon *qmp.Conn) error {
		if err := unplug(ctx, mon, nicID(n)); err != nil {
			return err
		}
		return mon.Run(ctx, "netdev_del", map[string]any{"id": netID(n)}, nil)
	})
}

// PlugDisk puts a disk in as disk n.
func (v *VM) PlugDisk(ctx context.Context, n int, d Disk) error {
	if n < 0 || n >= maxDisks {
		return fmt.Errorf("plug disk %d: a machine has room for %d", n, maxDisks)
	}
	return v.do(ctx, func(mon *qmp.Conn) error { return plugDisk(ctx, mon, n, d) })
}

func plugDisk(ctx context.Context, mon *qmp.Conn, n int, d Disk) error {
	fail := func(err error) error { return fmt.Errorf("plug disk %d (%s): %w", n, d.Path, err) }
	if _, err := os.Stat(d.Path); err != nil {
		return fail(err)
	}
	// Cached by the host. A flush of the guest is one of QEMU to the host's cache,
	// and not to the host's disk: what the guest was told is on the disk outlives
	// QEMU, whose end is a power cut, and a lab does not outlive the host's.
	err := mon.Run(ctx, "blockdev-add", map[string]any{
		"driver": d.Format, "node-name": fileID(n), "read-only": d.ReadOnly, "discard": "unmap", "cache": map[string]any{"no-flush": true},
		"file": map[string]any{"driver": "file", "filename": d.Path},
	}, nil)
	if err != nil {
		return fail(err)
	}
	err = mon.Run(ctx, "device_add", map[string]any{
		"driver": "virtio-blk-pci", "id": diskID(n), "drive": fileID(n), "bus": args.RootPort(maxNICs + n), "serial": d.Serial,
	}, nil)
	if err != nil {
		_ = mon.Run(ctx, "blockdev-del", map[string]any{"node-name": fileID(n)}, nil)
		return fail(err)
	}
	return nil
}

// UnplugDisk takes disk n out, as UnplugNIC does a card.
func (v *VM) UnplugDisk(ctx context.Context, n int) error {
	return v.do(ctx, func(mon *qmp.Conn) error {
		if err := unplug(ctx, mon, diskID(n)); err != nil {
			return err
		}
		return mon.Run(ctx, "blockdev-del", map[string]any{"node-name": fileID(n)}, nil)
	})
}

// unplug asks the guest to let go of a device and waits until it has.
func unplug(ctx context.Context, mon *qmp.Conn, id string) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, qmp.Patience)
		defer cancel()
	}
	if err := mon.Run(ctx, "device_del", map[string]any{"id": id}, nil); err != nil {
		return err
	}
	return mon.Deleted(ctx, id)
}
