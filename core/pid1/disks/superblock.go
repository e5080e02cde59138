// Package disks finds what PID 1 looks for on the block devices of a machine:
// the state disk (ext4 labelled G8OS), the boot medium (FAT labelled G8BOOT)
// and the tools layer (squashfs).
//
// It promises that a device is judged by what is on it, never by its name; that
// nothing is ever formatted; and that a damaged state disk is mended as far as
// e2fsck can, loudly, or left as it is.
package disks

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Labels of what is looked for.
const (
	StateLabel  = "G8OS"
	MediumLabel = "G8BOOT"
)

// Kind is a file system that PID 1 can use.
type Kind string

// The kinds.
const (
	Ext4     Kind = "ext4" // and ext2, ext3: the kernel's ext4 mounts them
	FAT      Kind = "vfat"
	Squashfs Kind = "squashfs"
	None     Kind = "" // something else, or nothing
)

// Content is what a device holds.
type Content struct {
	Kind  Kind
	Label string
	Ext4  Health // of ext4
}

// Health is what an ext4 superblock says about its file system.
type Health struct {
	Unclean bool // it was not unmounted; the journal, if there is one, mends that when it is mounted
	Errors  bool // the kernel met damage
	Journal bool
	Backup  int64 // not 0: the superblock is destroyed, a copy was found at this offset
}

// Sound tells whether the kernel can mount it without e2fsck before.
func (h Health) Sound() bool { return !h.Errors && h.Backup == 0 && (h.Journal || !h.Unclean) }

// Offsets at which mke2fs puts the first copy of the superblock, for blocks of
// 1, 2 and 4 KiB.
var ext4Backups = []int64{8193 << 10, 16384 << 11, 32768 << 12}

// headSize covers the superblocks of all kinds.
const headSize = 4 << 10

// Probe tells what a device holds. An error means it could not be read.
func Probe(r io.ReaderAt) (Content, error) {
	head := make([]byte, headSize)
	n, err := r.ReadAt(head, 0)
	if n < headSize && !errors.Is(err, io.EOF) {
		return Content{}, fmt.Errorf("read its first blocks: %w", err)
	}
	for _, is := range []func([]byte) (Content, bool){ext4, squashfs, fat} {
		if c, ok := is(head); ok {
			return c, nil
		}
	}
	if taken(head, r) {
		return Content{}, nil
	}
	return backup(r), nil
}

// backup looks for the copies of a superblock that is destroyed: only for that
// of a state disk, since only that is mended.
func backup(r io.ReaderAt) Content {
	for _, at := range ext4Backups {
		block := make([]byte, ext4Size)
		if _, err := r.ReadAt(block, at); err != nil {
			continue
		}
		c, ok := ext4Block(block)
		if ok && c.Label == StateLabel && belongs(block, at, r) {
			c.Ext4.Backup = at
			return c
		}
	}
	return Content{}
}

// belongs tells whether a copy of a superblock is where its own file system has
// it, and that file system ends where the device does, or before.
func belongs(block []byte, at int64, r io.ReaderAt) bool {
	le := binary.LittleEndian
	size := int64(1024) << min(le.Uint32(block[0x18:]), 6)
	group := int64(le.Uint32(block[0x14:])) + int64(le.Uint32(block[0x20:]))
	if le.Uint16(block[0x5A:]) != 1 || group*size != at {
		return false
	}
	_, err := r.ReadAt(make([]byte, 1), int64(le.Uint32(block[0x04:]))*size-1)
	return err == nil
}

// ext4 (kernel: fs/ext4/ext4.h, struct ext4_super_block)
const (
	ext4At   = 1024
	ext4Size = 1024

	ext4Magic      = 0xEF53
	ext4Valid      = 0x0001 // s_state
	ext4HasErrors  = 0x0002
	ext4HasJournal = 0x0004 // s_feature_compat
	ext4Recover    = 0x0004 // s_feature_incompat: the journal is to be replayed
	ext4JournalDev = 0x0008 // s_feature_incompat: it is a journal and no file system
)

func ext4(head []byte) (Content, bool) { return ext4Block(head[ext4At : ext4At+ext4Size]) }

func ext4Block(b []byte) (Content, bool) {
	le := binary.LittleEndian
	if le.Uint16(b[0x38:]) != ext4Magic || le.Uint32(b[0x60:])&ext4JournalDev != 0 || le.Uint32(b[0x04:]) == 0 {
		return Content{}, false
	}
	state := le.Uint16(b[0x3A:])
	return Content{Kind: Ext4, Label: text(b[0x78:0x88]), Ext4: Health{
		Unclean: state&ext4Valid == 0 || le.Uint32(b[0x60:])&ext4Recover != 0,
		Errors:  state&ext4HasErrors != 0,
		Journal: le.Uint32(b[0x5C:])&ext4HasJournal != 0,
	}}, true
}

// squashfs (kernel: fs/squashfs/squashfs_fs.h) has no label.
func squashfs(head []byte) (Content, bool) {
	return Content{Kind: Squashfs}, bytes.HasPrefix(head, []byte("hsqs")) && binary.LittleEndian.Uint16(head[28:]) == 4
}

// fat (Microsoft's FAT specification, section 3): the label in the boot sector.
func fat(head []byte) (Content, bool) {
	if head[510] != 0x55 || head[511] != 0xAA {
		return Content{}, false
	}
	switch {
	case bytes.HasPrefix(head[0x52:], []byte("FAT32   ")):
		return Content{Kind: FAT, Label: text(head[0x47:0x52])}, true
	case bytes.HasPrefix(head[0x36:], []byte("FAT1")):
		return Content{Kind: FAT, Label: text(head[0x2B:0x36])}, true
	}
	return Content{}, false
}

// others are what else may be on a disk that begins with an empty boot block
// (util-linux, libblkid/src/superblocks).
var others = []struct {
	at    int64
	magic string
}{
	{1024, "\x10\x20\xF5\xF2"},               // f2fs
	{1024, "H+"}, {1024, "HX"}, {1024, "BD"}, // hfs
	{1030, "\x34\x34"}, // nilfs2
	{4086, "SWAPSPACE2"}, {4086, "SWAP-SPACE"},
	{4096, "\xFC\x4E\x2B\xA9"}, {0, "\xFC\x4E\x2B\xA9"}, // md
	{4120, "\xC6\x85\x73\xF6"}, // bcache
	{0x8000, "JFS1"}, {0x8001, "CD001"}, {0x10034, "ReIsEr"}, {0x10040, "_BHRfS_M"},
}

// taken tells whether a disk without a superblock of ext4 was given to something
// else since. The copies of an earlier one outlive a new partition table, and
// e2fsck would mend the state disk that was over what is there now. An ext4 has
// an empty boot block; partition tables, LVM, LUKS, xfs and most others do not.
func taken(head []byte, r io.ReaderAt) bool {
	if len(bytes.Trim(head[:ext4At], "\x00")) > 0 {
		return true
	}
	for _, o := range others {
		magic := make([]byte, len(o.magic))
		if _, err := r.ReadAt(magic, o.at); err == nil && string(magic) == o.magic {
			return true
		}
	}
	return false
}

// text ends at the first NUL, and at blanks that fill up.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(bytes.TrimRight(b, " "))
}
