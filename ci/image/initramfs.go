package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"
)

// initramfs writes what the kernel unpacks: /init, which is g8os_core, the
// early modules, and the base as one file that stays compressed. All of it is
// stored as it is: under a slow processor unpacking would cost more than
// reading.
func initramfs(w io.Writer, core string, base baseLayer) error {
	records := []cpio.Record{
		cpio.CharDev("dev/console", 0o600, 5, 1),
	}
	for _, d := range []string{"dev", "proc", "sys", "run", "lib", "lib/modules"} {
		records = append(records, cpio.Directory(d, 0o755))
	}
	early := base.file("early")
	err := filepath.WalkDir(early, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == early {
			return err
		}
		at := "lib/modules/" + strings.TrimPrefix(p, early+"/")
		if d.IsDir() {
			records = append(records, cpio.Directory(at, 0o755))
			return nil
		}
		r, err := fileRecord(at, p, 0o644)
		records = append(records, r)
		return err
	})
	if err != nil {
		return err
	}
	for at, from := range map[string]string{"init": core, "base.squashfs": base.file("base.squashfs")} {
		r, err := fileRecord(at, from, 0o755)
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	return writeCpio(w, records)
}

func fileRecord(at, from string, mode uint64) (cpio.Record, error) {
	content, err := os.ReadFile(from)
	if err != nil {
		return cpio.Record{}, fmt.Errorf("%s of the initramfs: %w", at, err)
	}
	return cpio.StaticFile(at, string(content), mode), nil
}

// writeCpio writes the records sorted, a folder before what is in it, all of
// the same time.
func writeCpio(w io.Writer, records []cpio.Record) error {
	sortRecords(records)
	rw := cpio.Newc.Writer(w)
	for i, r := range records {
		r = cpio.MakeReproducible(r)
		r.Ino = uint64(i + 1)
		if err := rw.WriteRecord(r); err != nil {
			return fmt.Errorf("%s of the initramfs: %w", r.Name, err)
		}
	}
	return cpio.WriteTrailer(rw)
}

func sortRecords(records []cpio.Record) {
	slices.SortFunc(records, func(a, b cpio.Record) int { return strings.Compare(a.Name, b.Name) })
}
