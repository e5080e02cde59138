package recipe

import (
	"archive/tar"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/g8os/g8os/ci/image/tree"
)

func skeleton(t *testing.T) *tree.Tree {
	t.Helper()
	tr := tree.New()
	tr.Write("usr/bin/busybox", 0o755, nil)
	tr.Write("usr/sbin/sshd", 0o755, nil)
	if err := Skeleton(tr, Identity{ID: "i", Version: "v"}); err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestKey(t *testing.T) {
	if first := Key("a", "b"); first != Key("a", "b") || Key("a", "b") == Key("ab") || Key("a") == Key("b") {
		t.Error("a key should change with what is hashed, and only then")
	}
}

func TestNobodyCanLogInWithAPassword(t *testing.T) {
	f := skeleton(t).Get("etc/shadow")
	if f == nil || f.Mode != 0o600 {
		t.Fatalf("etc/shadow is %+v", f)
	}
	text, _ := f.Content.Read()
	for line := range strings.Lines(string(text)) {
		if strings.Split(line, ":")[1] != "*" {
			t.Errorf("an account with a password: %s", line)
		}
	}
}

func TestSkeleton(t *testing.T) {
	tr := skeleton(t)
	for p, want := range map[string]string{"bin/ls": "../usr/bin/busybox", "bin/sh": "../usr/bin/busybox", "sbin/sshd": "../usr/sbin/sshd", "sbin/modprobe": "../usr/bin/busybox", "lib": "usr/lib"} {
		if f := tr.Get(p); f == nil || f.Link != want {
			t.Errorf("%s is %+v, want a link to %s", p, f, want)
		}
	}
	if f := tr.Get("usr/bin/g8os_core"); f == nil || f.Content.Size() != 0 {
		t.Errorf("usr/bin/g8os_core is %+v, want an empty file for PID 1 to bind itself over", f)
	}
	if f := tr.Get("tmp"); f == nil || f.Type != tar.TypeDir || f.Mode != 0o1777 {
		t.Errorf("tmp is %+v", f)
	}
	if f := tr.Get("usr/sbin/poweroff"); f == nil || f.Mode&0o111 == 0 {
		t.Errorf("usr/sbin/poweroff is %+v, want a program", f)
	}
	var id Identity
	text, _ := tr.Get(BaseIdentity).Content.Read()
	if err := json.Unmarshal(text, &id); err != nil || id.ID != "i" {
		t.Errorf("image.json says %s (%v)", text, err)
	}
}

// busybox's commands may not hide the tools layer's: they are not in /usr.
func TestFallbacksHideNothing(t *testing.T) {
	for _, p := range skeleton(t).Paths() {
		name, in := strings.CutPrefix(p, "usr/bin/")
		if in && name != "env" && slices.Contains(strings.Fields(applets), "bin/"+name) {
			t.Errorf("%s hides the tools layer's", p)
		}
	}
}

func TestWhatStaysOut(t *testing.T) {
	for p, want := range map[string]bool{"usr/share/doc/mc/README": true, "usr/bin/mc": false, "etc/init.d/docker": true, "etc/mc/mc.keymap": false, "var/lib/x": true,
		"usr/lib/ipxe/qemu/efi-virtio.rom": false, // without it no guest with a network card starts
	} {
		if Left(p) != want {
			t.Errorf("%s stays out: %v, want %v", p, !want, want)
		}
	}
	for name, want := range map[string]bool{"python3.11": true, "liberror-perl": true, "docker.io": false, "linux-image-6.1.0-56-amd64": true} {
		if Unwanted(name) != want {
			t.Errorf("package %s is unwanted: %v, want %v", name, !want, want)
		}
	}
}
