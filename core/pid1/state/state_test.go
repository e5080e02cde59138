package state

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func has(t *testing.T, dir, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want {
		t.Errorf("%s is %q (%v), want %q", name, got, err, want)
	}
}

// A stick's life: put in, left in, edited on the node, edited on the stick,
// taken from.
func TestImport(t *testing.T) {
	medium, dir := t.TempDir(), t.TempDir()
	step := func(what, want string, problem bool) {
		t.Helper()
		names, err := Import(medium, dir)
		if got := strings.Join(names, " "); got != want || (err != nil) != problem {
			t.Errorf("%s: %q, %v; want %q", what, got, err, want)
		}
	}
	step("an empty stick", "", false)
	put(t, medium, map[string]string{"g8os/ca.pem": "CA 1", "g8os/net.toml": "net 1", "g8os/hostname": "n1\n", "g8os/other": "x"})
	step("put in", "ca.pem hostname net.toml", false)
	step("left in", "", false)
	put(t, dir, map[string]string{"net.toml": "edited on the node"})
	step("edited on the node", "", false)
	has(t, dir, "net.toml", "edited on the node")
	put(t, medium, map[string]string{"g8os/net.toml": "net 2"})
	step("edited on the stick", "net.toml", false)
	has(t, dir, "net.toml", "net 2")
	has(t, dir, "ca.pem", "CA 1")
	os.Remove(filepath.Join(medium, "g8os/ca.pem"))
	step("taken from", "", false)
	has(t, dir, "ca.pem", "CA 1")
	put(t, medium, map[string]string{"g8os/net.toml": " \n", "g8os/hostname": strings.Repeat("n", maxImport+1)})
	step("unusable files", "", true)
	has(t, dir, "net.toml", "net 2")
	put(t, dir, map[string]string{recordFile: "{damaged"})
	put(t, medium, map[string]string{"g8os/net.toml": "net 2", "g8os/hostname": "n2"})
	step("the record is damaged", "hostname net.toml", false)
	if Hostname(dir) != "n2" || Hostname(medium) != "" {
		t.Error(Hostname(dir))
	}
	if _, err := os.Stat(filepath.Join(dir, "other")); err == nil {
		t.Error("imported what nobody asked for")
	}
}

// What is no file, on the node's disk or on the medium, is not waited for.
func TestImportWaitsForNothing(t *testing.T) {
	medium, dir := t.TempDir(), t.TempDir()
	put(t, medium, map[string]string{"g8os/ca.pem": "CA"})
	for _, path := range []string{filepath.Join(dir, recordFile), filepath.Join(dir, "hostname"), filepath.Join(medium, "g8os/net.toml")} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names, err := Import(medium, dir)
	if strings.Join(names, " ") != "ca.pem" || err == nil || Hostname(dir) != "" {
		t.Errorf("%v, %v, %q", names, err, Hostname(dir))
	}
}

func TestImportIntoAFullOrReadOnlyFolder(t *testing.T) {
	medium := t.TempDir()
	put(t, medium, map[string]string{"g8os/hostname": "n1"})
	if names, err := Import(medium, "/proc/nowhere"); err == nil || names != nil {
		t.Errorf("%v, %v", names, err)
	}
}

func TestPlace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts: needs root")
	}
	disk, root, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, disk, map[string]string{"etc/net.toml": "kept", "log": "a file in the way"})
	for _, name := range []string{"docker", "tools"} {
		if err := os.Symlink(elsewhere, filepath.Join(disk, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Place(disk, root); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, b := range Binds {
			if err := unix.Unmount(filepath.Join(root, b.To), 0); err != nil {
				t.Error(b.To, err)
			}
		}
	}()
	has(t, root, "etc/g8os/net.toml", "kept")
	put(t, root, map[string]string{"var/log/g8os/core.log": "line", "var/lib/docker/x": "y"})
	has(t, disk, "log/core.log", "line")
	has(t, disk, "docker/x", "y")
	has(t, disk, "log.aside", "a file in the way")
	if st, err := os.Lstat(filepath.Join(disk, "tools")); err != nil || !st.IsDir() {
		t.Errorf("tools is %v (%v), want a folder of the disk", st, err)
	}
}

// A join token that a boot medium brings is for root's eyes only.
func TestTokenOfAMedium(t *testing.T) {
	medium, dir := t.TempDir(), t.TempDir()
	put(t, medium, map[string]string{"g8os/token": "g8t-1\n", "g8os/ca.pem": "CA"})
	if _, err := Import(medium, dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"token": 0o600, "ca.pem": 0o644} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %v", name, st, err, want)
		}
	}
}
