package layers

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// MountImage mounts a squashfs, read-only, from a block device or a file.
func MountImage(source, target string) error {
	device := source
	if st, err := os.Stat(source); err != nil {
		return fmt.Errorf("mount image: %w", err)
	} else if st.Mode().IsRegular() {
		loop, err := attach(source)
		if err != nil {
			return fmt.Errorf("mount image %s: %w", source, err)
		}
		defer loop.Close() // the mount keeps it; without one it goes (autoclear)
		device = loop.Name()
	} else if !strings.HasPrefix(source, "/dev/") {
		return fmt.Errorf("mount image %s: is neither a file nor a device", source)
	}
	if err := unix.Mount(device, target, "squashfs", unix.MS_RDONLY|unix.MS_NODEV, ""); err != nil {
		return fmt.Errorf("mount image %s on %s: %w", source, target, err)
	}
	return nil
}

// attempts is for the race for a free loop device with others who look for one.
const attempts = 32

// attach gives a file a loop device that goes when its last user does.
func attach(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range attempts {
		loop, err := claim(control, file)
		if !errors.Is(err, unix.EBUSY) {
			return loop, err
		}
	}
	return nil, errors.New("no free loop device")
}

// claim takes the first loop device that is free. EBUSY: another was quicker.
func claim(control, file *os.File) (*os.File, error) {
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("a free loop device: %w", err)
	}
	loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR}}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], file.Name())
	if err := unix.IoctlLoopConfigure(int(loop.Fd()), &config); err != nil {
		loop.Close()
		return nil, fmt.Errorf("attach %s to %s: %w", file.Name(), loop.Name(), err)
	}
	return loop, nil
}
