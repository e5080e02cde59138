package pid1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/pid1/disks"
	"github.com/g8os/g8os/core/pid1/layers"
	"github.com/g8os/g8os/core/pid1/state"
)

const (
	configDir = "/etc/g8os"
	runDir    = "/run/g8os"
	mediumDir = runDir + "/medium"
)

// stage2 makes the machine this node: its disk, what its medium brings, its name.
func (m *Machine) stage2(ctx context.Context) {
	m.set(func(f *Facts) { f.Held = false })
	found := m.storage.wait()
	m.mark("disks")
	m.useState(ctx, found)
	m.mark("state")
	m.useMedium(found)
	m.name()
	m.say("join token", m.useToken(runDir))
	m.useTools(found)
	m.mark("stage 2")
}

// useToken leaves the join token of the command line where g8os_core looks for
// it: in memory, not on the disk.
func (m *Machine) useToken(dir string) error {
	if m.Args.Token == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "token"), []byte(m.Args.Token+"\n"), 0o600)
}

// useState mounts the state disk, and puts its folders in their places.
func (m *Machine) useState(ctx context.Context, found []disks.Found) {
	if m.Args.NoState {
		m.Log.Info("no state disk is used (g8os.state=off): the node runs from memory, and forgets when it is off")
		return
	}
	f, ok, warning := disks.Pick(found, disks.Ext4, disks.StateLabel)
	m.say("state disk", warning)
	if !ok {
		m.notice(fmt.Sprintf("no state disk (ext4 labelled %s): the node runs from memory, and forgets when it is off", disks.StateLabel), nil)
		return
	}
	m.load("ext4")
	err := os.MkdirAll(state.Dir, 0o755)
	if err == nil {
		err = disks.NewMender(m.Log).Mount(ctx, f, state.Dir)
	}
	if err != nil {
		m.notice("the state disk cannot be used: the node runs from memory, and forgets when it is off", err)
		return
	}
	m.say("state disk", state.Place(state.Dir, "/"))
	m.Log.Info("state disk", "disk", f.Name, "on", state.Dir)
	m.set(func(s *Facts) { s.State = f.Name })
}

// useMedium imports what is new on a boot medium, and tells whether that was
// anything.
func (m *Machine) useMedium(found []disks.Found) bool {
	f, ok, warning := disks.Pick(found, disks.FAT, disks.MediumLabel)
	m.say("boot medium", warning)
	if !ok {
		return false
	}
	names, err := m.importFrom(f.Name)
	m.say("boot medium", err)
	if len(names) > 0 {
		m.Log.Info("imported from the boot medium", "disk", f.Name, "files", names)
	}
	return len(names) > 0
}

func (m *Machine) importFrom(disk string) ([]string, error) {
	m.load("vfat", "nls_cp437", "nls_ascii", "nls_utf8")
	if err := os.MkdirAll(mediumDir, 0o700); err != nil {
		return nil, err
	}
	if err := unix.Mount(disks.Path(disk), mediumDir, "vfat", plain|unix.MS_RDONLY, ""); err != nil {
		return nil, fmt.Errorf("mount %s: %w", disks.Path(disk), err)
	}
	names, err := state.Import(mediumDir, configDir)
	return names, errors.Join(err, unix.Unmount(mediumDir, 0))
}

// useTools mounts the first tools layer that goes with this image, from a disk
// or from the state disk's folder, and tells whether there is one now.
func (m *Machine) useTools(found []disks.Found) bool {
	m.tools.mu.Lock() // a disk may come while a layer is fetched
	defer m.tools.mu.Unlock()
	if m.Args.NoTools || m.Facts().Tools != "" {
		return false
	}
	for _, source := range toolsSources(found) {
		lacks, err := layers.Tools(source)
		switch {
		case err == nil:
			m.say("tools layer", lacks)
			m.Log.Info("tools layer", "from", source)
			m.set(func(f *Facts) { f.Tools = source })
			close(m.toolsUp)
			return true
		case errors.Is(err, layers.ErrNotTools):
			m.Log.Debug("tools layer", "error", err)
		default:
			m.tools.warn(m.Log, source, err)
		}
	}
	return false
}

// tools guards the one mounting of a tools layer.
type tools struct {
	mu   sync.Mutex
	said map[string]string // the error of a source, as it was told
}

// warn tells of a source that cannot be used, once. The lock is held.
func (t *tools) warn(log *slog.Logger, source string, err error) {
	if t.said[source] != err.Error() {
		t.said[source] = err.Error()
		log.Warn("tools layer", "error", err)
	}
}

func toolsSources(found []disks.Found) []string {
	var sources []string
	for _, f := range found {
		if f.Content.Kind == disks.Squashfs {
			sources = append(sources, disks.Path(f.Name))
		}
	}
	return append(sources, layers.Files(state.ToolsDir)...)
}
