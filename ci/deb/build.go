package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// build is what the packages of one build have in common.
type build struct {
	bin, out string
	version  string
	when     time.Time // of everything in the packages
}

// modes are those that are not 0755 for a folder and 0644 for a file.
var modes = map[string]fs.FileMode{
	"etc/g8os":        0o700, // keys come here
	"DEBIAN/postinst": 0o755, "DEBIAN/prerm": 0o755, "DEBIAN/postrm": 0o755,
}

const control = "DEBIAN/control"

// pack makes one package and takes earlier ones of its name away.
func (b build) pack(ctx context.Context, p pkg) (string, error) {
	dir, err := os.MkdirTemp("", "g8os-deb-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "tree")
	if err := b.stage(tree, p); err != nil {
		return "", err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(b.out, p.file(b.version))
	if err := b.dpkg(ctx, tree, path+".new"); err != nil {
		return "", errors.Join(err, os.RemoveAll(path+".new"))
	}
	old, err := p.earlier(b.out)
	if err != nil {
		return "", err
	}
	for _, o := range old {
		if err := os.Remove(o); err != nil {
			return "", err
		}
	}
	return path, os.Rename(path+".new", path)
}

// dpkg packs a tree. One thread: more of them cut the stream differently, and
// the bytes would depend on the machine.
func (b build) dpkg(ctx context.Context, tree, to string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--root-owner-group", "-Zxz", "--threads-max=1", "--build", tree, to)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.when.Unix()), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("dpkg-deb: %w: packages are made on a Debian: ci/install image", err)
	}
	if err != nil {
		return fmt.Errorf("dpkg-deb --build: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// stage lays a package out as dpkg-deb wants it, control files last: they say
// how much there is.
func (b build) stage(tree string, p pkg) error {
	skeleton, err := p.skeleton()
	if err != nil {
		return err
	}
	if err := os.CopyFS(tree, skeleton); err != nil {
		return fmt.Errorf("copy its skeleton: %w", err)
	}
	if err := b.programs(tree, p); err != nil {
		return err
	}
	if err := b.changelog(tree, p); err != nil {
		return err
	}
	if err := b.control(tree); err != nil {
		return err
	}
	return b.settle(tree)
}

func (b build) programs(tree string, p pkg) error {
	for to, name := range p.programs {
		bytes, err := os.ReadFile(filepath.Join(b.bin, name))
		if err != nil {
			return fmt.Errorf("program: %w; make build makes it", err)
		}
		if err := put(filepath.Join(tree, to), bytes, 0o755); err != nil {
			return err
		}
	}
	for from, to := range p.links {
		at := filepath.Join(tree, from)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(to, at)); err != nil {
			return err
		}
	}
	return nil
}

func put(path string, text []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, mode)
}

// changelog is what Debian wants of one; the history is in the source.
func (b build) changelog(tree string, p pkg) error {
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s (%s) unstable; urgency=medium\n\n  * Built from this commit; git log has the history.\n\n -- G8OS <g8os@users.noreply.github.com>  %s\n",
		p.name, b.version, b.when.Format(time.RFC1123Z))
	if err := w.Close(); err != nil {
		return err
	}
	return put(filepath.Join(tree, "usr/share/doc", p.name, "changelog.gz"), z.Bytes(), 0o644)
}

// control fills in version and size, and adds the sums that dpkg -V checks.
func (b build) control(tree string) error {
	sums, kib, err := measure(tree)
	if err != nil {
		return err
	}
	if err := put(filepath.Join(tree, "DEBIAN/md5sums"), []byte(sums), 0o644); err != nil {
		return err
	}
	path := filepath.Join(tree, control)
	t, err := template.ParseFiles(path)
	if err != nil {
		return err
	}
	var filled bytes.Buffer
	if err := t.Execute(&filled, map[string]any{"Version": b.version, "Size": kib}); err != nil {
		return err
	}
	return put(path, filled.Bytes(), 0o644)
}

// measure returns the sums of all files, and what the tree takes on a disk in
// KiB as dpkg-gencontrol counts: files rounded up, all else 1. What may be
// edited on the machine has no sum.
func measure(tree string) (sums string, kib int64, err error) {
	var b strings.Builder
	err = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(tree, path)
		if name == "DEBIAN" {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			kib++
			return nil
		}
		text, err := os.ReadFile(path)
		kib += (int64(len(text)) + 1023) / 1024
		if !strings.HasPrefix(name, "etc/") {
			fmt.Fprintf(&b, "%x  %s\n", md5.Sum(text), name)
		}
		return err
	})
	return b.String(), kib, err
}

// settle gives everything the mode and the time it has in the package,
// whatever umask and clock of this machine are.
func (b build) settle(tree string) error {
	return filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 { // dpkg-deb clamps the time of links
			return err
		}
		name, _ := filepath.Rel(tree, path)
		mode, special := modes[name]
		switch {
		case special:
		case d.IsDir(), strings.HasPrefix(name, "usr/bin/"), strings.HasPrefix(name, "usr/lib/g8os/"):
			mode = 0o755
		default:
			mode = 0o644
		}
		return errors.Join(os.Chmod(path, mode), os.Chtimes(path, b.when, b.when))
	})
}
