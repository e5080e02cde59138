package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/swtpm"
)

// hostChecks look at the machine as it is.
func hostChecks(o Options) []check {
	return []check{
		{"memory", true, time.Second, "a lab of netns nodes takes 200 MiB and 40 a node", memory},
		{"disk", true, time.Second, "make room, or set XDG_CACHE_HOME to a larger file system", func(context.Context) (string, error) { return room(o.Cache) }},
		{"tpm", false, 20 * time.Second, "install swtpm (ci/install vm does it); without it no node can have a TPM (tpm: true)", swtpm.Try},
		{"docker", false, 5 * time.Second, "no lab needs it; nodes of fidelity vm have their own", docker},
	}
}

func memory(context.Context) (string, error) {
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return "", err
	}
	free, err := availableMiB()
	if err != nil {
		return "", err
	}
	found := fmt.Sprintf("%d MiB available of %d: room for about %d nodes in namespaces or %d virtual machines",
		free, si.Totalram*uint64(si.Unit)>>20, max(0, (free-200)/40), max(0, (free-400)/100))
	if free < 240 {
		return "", errors.New(found)
	}
	return found, nil
}

func availableMiB() (int, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			return kib >> 10, nil
		}
	}
	return 0, errors.New("/proc/meminfo does not say what is available")
}

// room looks at the nearest folder above the cache that exists.
func room(dir string) (string, error) {
	for {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if errors.Is(err, unix.ENOENT) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir)
			continue
		}
		if err != nil {
			return "", fmt.Errorf("free space of %s: %w", dir, err)
		}
		free := st.Bavail * uint64(st.Bsize) >> 20
		if free < 1024 {
			return "", fmt.Errorf("%d MiB free where templates and images are kept (%s), a lab of virtual machines takes 1024", free, dir)
		}
		return fmt.Sprintf("%d MiB free where templates and images are kept", free), nil
	}
}

func docker(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Output()
	if err != nil {
		if ee, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("no daemon answers: %.120s", oneLine(errors.New(string(ee.Stderr))))
		}
		return "", err
	}
	return "daemon " + strings.TrimSpace(string(out)), nil
}
