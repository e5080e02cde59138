package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var committed = time.Date(2026, 11, 23, 22, 27, 49, 0, time.UTC)

func TestVersions(t *testing.T) {
	for _, tt := range []struct{ describe, want string }{
		{"v1.2.3", "1.2.3"},
		{"1.2", "1.2"},
		{"v1.2.3-rc.1", "1.2.3~rc.1"},
		{"v1.2.3-5-gabcdef0", "1.2.3+git5.abcdef0"},
		{"v1.2.3-rc.1-5-gabcdef0-dirty", "1.2.3~rc.1+git5.abcdef0+dirty"},
		{"v1.2.3-dirty", "1.2.3+dirty"},
		{"29787fe", "0~git20261123222749.29787fe"},
		{"1234567-dirty", "0~git20261123222749.1234567+dirty"},
		{"devel", ""}, {"", ""}, {"v1.2.3_4", ""}, {"release/1", ""},
	} {
		got, err := debianVersion(tt.describe, committed)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %q, %v; want %q", tt.describe, got, err, tt.want)
		}
	}
}

// The order is Debian's to judge.
func TestVersionsSortAsCommitsDo(t *testing.T) {
	order := []string{"ffffff0", "1111111", "v1.0.0-rc.1", "v1.0.0-rc.1-3-gfff0000", "v1.0.0-rc.2", "v1.0.0", "v1.0.0-2-gfff0000", "v1.0.0-10-g0000fff", "v1.0.1"}
	before := ""
	for i, describe := range order {
		v, err := debianVersion(describe, committed.Add(time.Duration(i)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if before != "" {
			if err := exec.Command("dpkg", "--compare-versions", before, "lt", v).Run(); err != nil {
				t.Errorf("dpkg does not sort %s before %s", before, v)
			}
		}
		before = v
	}
}

// programs makes a bin/ with stand-ins.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range packages {
		for _, name := range p.programs {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho "+name+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func makeDebs(t *testing.T, bin, out string) {
	t.Helper()
	if err := run(t.Context(), []string{"-bin", bin, "-out", out, "-version", "v1.2.3", "-built", "1795472869"}, io.Discard); err != nil {
		t.Fatal(err)
	}
}

func TestTheSameCommitIsTheSameBytes(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	makeDebs(t, programs(t), one)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	makeDebs(t, programs(t), two)
	for _, p := range packages {
		a, err := os.ReadFile(filepath.Join(one, p.file("1.2.3")))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(two, p.file("1.2.3")))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two builds differ", p.name)
		}
	}
}

func TestABuildReplacesTheLastOne(t *testing.T) {
	out := t.TempDir()
	old := filepath.Join(out, "g8os-core_0~git1.abc_amd64.deb")
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	makeDebs(t, programs(t), out)
	if _, err := os.Stat(old); err == nil {
		t.Error("the package of an earlier build is still there")
	}
}

func TestABuildThatFailsLeavesNothing(t *testing.T) {
	out := t.TempDir()
	err := run(t.Context(), []string{"-bin", t.TempDir(), "-out", out, "-version", "v1.2.3", "-built", "1795472869"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("without programs: %v, want what makes them", err)
	}
	if left, _ := os.ReadDir(out); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
}

// dpkg says what it has to say about a package.
func dpkg(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("dpkg-deb", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("dpkg-deb %s: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestWhatIsInside(t *testing.T) {
	out := t.TempDir()
	makeDebs(t, programs(t), out)
	for name, lines := range map[string][]string{
		"g8os-core": {
			"drwx------ root/root ./etc/g8os/",
			"-rw-r--r-- root/root ./etc/g8os/net.toml",
			"-rwxr-xr-x root/root ./usr/lib/g8os/g8os_core",
			"-rwxr-xr-x root/root ./usr/lib/g8os/gocryptfs",
			"lrwxrwxrwx root/root ./usr/bin/g8os_core -> ../lib/g8os/g8os_core",
			"-rw-r--r-- root/root ./lib/systemd/system/g8os-core.service",
		},
		"g8os-ac": {
			"-rwxr-xr-x root/root ./usr/bin/g8os_ac",
			"-rwxr-xr-x root/root ./usr/bin/g8os",
			"-rw-r--r-- root/root ./lib/systemd/system/g8os-ac.service",
		},
	} {
		deb := filepath.Join(out, name+"_1.2.3_amd64.deb")
		var listing strings.Builder // mode, owner, name; without size and time
		for line := range strings.Lines(dpkg(t, "-c", deb)) {
			f := strings.Fields(line)
			listing.WriteString(f[0] + " " + f[1] + " " + strings.Join(f[5:], " ") + "\n")
		}
		for _, want := range lines {
			if !strings.Contains(listing.String(), want+"\n") {
				t.Errorf("%s: no %q in\n%s", name, want, listing.String())
			}
		}
		if v := dpkg(t, "-f", deb, "Version"); strings.TrimSpace(v) != "1.2.3" {
			t.Errorf("%s: version %s", name, v)
		}
	}
}

// Every script of a package must be one that dash runs, with set -e.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("packages/*/DEBIAN/p*")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, s := range scripts {
		text, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "#!/bin/sh\nset -e\n") {
			t.Errorf("%s: does not begin with #!/bin/sh and set -e", s)
		}
		if out, err := exec.Command("dash", "-n", s).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", s, out)
		}
	}
}

// systemd judges the units. It wants the programs they start to be there.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd on this machine")
	}
	root := t.TempDir()
	for _, p := range packages {
		skeleton, err := p.skeleton()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(root, p.name), skeleton); err != nil {
			t.Fatal(err)
		}
	}
	units, _ := filepath.Glob(filepath.Join(root, "*/lib/systemd/system/*.service"))
	if len(units) != len(packages) {
		t.Fatalf("units: %s", units)
	}
	for _, u := range units {
		text, err := os.ReadFile(u)
		if err != nil {
			t.Fatal(err)
		}
		there := strings.NewReplacer("/usr/bin/g8os_core", "/bin/true", "/usr/bin/g8os_ac", "/bin/true").Replace(string(text))
		if err := os.WriteFile(u, []byte(there), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", u).CombinedOutput()
		if err != nil || strings.Contains(string(out), filepath.Base(u)) {
			t.Errorf("%s: %v\n%s", filepath.Base(u), err, out)
		}
	}
}
