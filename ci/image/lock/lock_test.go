package lock

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestFormatAndParse(t *testing.T) {
	want := Lock{Resolved: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC), Packages: []Package{
		{"mc", "3:4.8.29-2", "amd64", 7, sum, "debian", "pool/main/m/mc/mc_4.8.29-2_amd64.deb"},
		{"tzdata", "2026f", "all", 8, sum, "debian-security", "pool/updates/main/t/tzdata.deb"},
	}}
	got, err := Parse("packages.lock", want.Format())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestBadLines(t *testing.T) {
	for name, c := range map[string]struct{ line, says string }{
		"another architecture": {"mc 1 arm64 7 " + sum + " debian pool/x.deb", "mc is for arm64, the image is for amd64"},
		"no hash":              {"mc 1 amd64 7 12ab debian pool/x.deb", "no SHA-256"},
		"no size":              {"mc 1 amd64 x " + sum + " debian pool/x.deb", "no size"},
		"words":                {"mc 1 amd64", "3 words"},
		"way out":              {"mc 1 amd64 7 " + sum + " debian ../../etc/passwd", "no path below an archive"},
		"absolute":             {"mc 1 amd64 7 " + sum + " debian /etc/passwd", "no path below an archive"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("p.lock", []byte("resolved 2026-11-23T01:02:03Z\n"+c.line+"\n"))
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "p.lock:2") {
				t.Errorf("got %v, want p.lock:2 and %q", err, c.says)
			}
		})
	}
	if _, err := Parse("p.lock", nil); err == nil {
		t.Error("an empty lock is taken")
	}
}

// The lock of this checkout is read by every build.
func TestOurLock(t *testing.T) {
	text, err := os.ReadFile("../packages.lock")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Parse("packages.lock", text)
	if err != nil {
		t.Fatal(err)
	}
	if string(l.Format()) != string(text) {
		t.Error("packages.lock is not what image lock would write of it")
	}
}

func TestWhatAptSays(t *testing.T) {
	out := `Reading package lists...
'http://archive.example/debian-security/pool/updates/main/o/ovs/ovs_3.1%2bx_amd64.deb' ovs_1%3a3.1+x_amd64.deb 42 SHA256:` + sum + `
'http://archive.example/debian/pool/main/a/a/a_1_all.deb' a_1_all.deb 43 SHA256:` + sum + "\n"
	got, err := parseURIs([]byte(out))
	want := []Package{
		{"a", "1", "all", 43, sum, "debian", "pool/main/a/a/a_1_all.deb"},
		{"ovs", "1:3.1+x", "amd64", 42, sum, "debian-security", "pool/updates/main/o/ovs/ovs_3.1%2bx_amd64.deb"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if _, err := parseURIs([]byte("'http://x/debian/pool/a.deb' a_1_all.deb 43 MD5Sum:00\n")); err == nil {
		t.Error("a package without SHA-256 is taken")
	}
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "sources.list", "# deb http://no.example/debian bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] http://a.example/debian/ bookworm main contrib\ndeb http://other.example/node x main\n")
	write(t, dir, "sources.list.d/b.sources", "Types: deb\n# one\nURIs: http://b.example/debian-security\nSuites: bookworm-security\nComponents: main\nSigned-By: /s.gpg\n\nTypes: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: x\nComponents: main\n")
	got, err := Sources(dir)
	want := []Source{
		{"http://a.example/debian", []string{"bookworm"}, "/k.gpg"},
		{"http://b.example/debian-security", []string{"bookworm-security"}, "/s.gpg"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if _, err := Sources(t.TempDir()); err == nil {
		t.Error("a machine without Debian's archive is taken")
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
