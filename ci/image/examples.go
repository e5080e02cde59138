package main

import (
	"archive/tar"
	"bytes"
	"strings"
	"time"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/g8os/g8os/ci/image/tree"
)

// examples are what a node can try docker and kvm with when it has no network:
// a root for a container, and a kernel with an initramfs for a guest.
const examples = "usr/share/g8os/examples/"

// exampleInit is the guest's PID 1: it says a line and powers off.
const exampleInit = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
echo "guest of G8OS is up: $(/bin/busybox uname -r)"
exec /bin/busybox poweroff -f
`

// addExamples makes both of the tools' own files: busybox with its libraries,
// and the kernel.
func addExamples(t *tree.Tree, vmlinuz tree.Blob, when time.Time) error {
	root, err := exampleRoot(t)
	if err != nil {
		return err
	}
	var archive, guest bytes.Buffer
	if err := root.WriteTar(&archive, when); err != nil {
		return err
	}
	t.Write(examples+"container.tar", 0o644, archive.Bytes())
	root.Write("init", 0o755, []byte(exampleInit))
	if err := writeTreeCpio(&guest, root); err != nil {
		return err
	}
	t.Write(examples+"guest-initramfs", 0o644, guest.Bytes())
	t.Put(examples+"guest-vmlinuz", tree.File{Type: tar.TypeReg, Mode: 0o644, Content: vmlinuz})
	return nil
}

func exampleRoot(t *tree.Tree) (*tree.Tree, error) {
	root := tree.New()
	root.Put("usr/bin/busybox", *t.Get("usr/bin/busybox"))
	for _, d := range strings.Fields("dev etc proc sys tmp") {
		root.Dir(d, 0o755)
	}
	for at, to := range map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"} {
		root.PutTop(at, tree.Symlink(to))
	}
	for _, applet := range strings.Fields("sh echo cat ls ip ping uname sleep hostname id ps mount wget nc true false env") {
		root.Link("usr/bin/"+applet, "busybox")
	}
	return root, addLibraries(root, t, nil)
}

// writeTreeCpio writes a small tree as an initramfs.
func writeTreeCpio(w *bytes.Buffer, t *tree.Tree) error {
	records := []cpio.Record{cpio.CharDev("dev/console", 0o600, 5, 1)}
	for _, p := range t.Paths() {
		f := t.Get(p)
		switch {
		case f.IsFile():
			content, err := f.Content.Read()
			if err != nil {
				return err
			}
			records = append(records, cpio.StaticFile(p, string(content), uint64(f.Perm())))
		case f.Link != "":
			records = append(records, cpio.Symlink(p, f.Link))
		default:
			records = append(records, cpio.Directory(p, uint64(f.Perm())))
		}
	}
	return writeCpio(w, records)
}
