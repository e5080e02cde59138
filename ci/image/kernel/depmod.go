package kernel

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/g8os/g8os/ci/image/tree"
)

// Depmod makes the indexes of the modules below usr/lib/modules/VERSION of a
// tree, and puts them there. The modules are written into a folder of dir for
// the time it takes.
func Depmod(ctx context.Context, dir string, t *tree.Tree, version string) error {
	work, err := os.MkdirTemp(dir, ".depmod-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	base := "usr/lib/modules/" + version + "/"
	for _, p := range t.Paths() {
		if f := t.Get(p); f.IsFile() && strings.HasPrefix(p, base) {
			if err := writeOut(filepath.Join(work, strings.TrimPrefix(p, "usr/")), f.Content); err != nil {
				return err
			}
		}
	}
	cmd := exec.CommandContext(ctx, "depmod", "-b", work, version)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("depmod: %w: %s", err, strings.TrimSpace(string(out)))
	}
	made, err := filepath.Glob(filepath.Join(work, "lib/modules", version, "modules.*"))
	if err != nil {
		return err
	}
	for _, file := range made {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		t.Write(base+filepath.Base(file), 0o644, text)
	}
	return nil
}

func writeOut(name string, content tree.Blob) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content.Reader())
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
