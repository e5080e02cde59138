package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Label of the partition that a node imports its configuration from.
const Label = "G8BOOT"

// A File is one file of the boot partition; its content is in From, or is Text.
type File struct {
	Path string
	From string
	Text []byte
}

// spare is what people may add to the boot partition later.
const spare = 32 << 20

const mebi = 1 << 20

// FAT makes a FAT32 file system of these files in file. id is its serial
// number, when the time of all in it.
func FAT(ctx context.Context, file string, files []File, id uint32, when time.Time) error {
	var content int64
	for _, f := range files {
		n := int64(len(f.Text))
		if f.From != "" {
			info, err := os.Stat(f.From)
			if err != nil {
				return fmt.Errorf("%s of the boot partition: %w", f.Path, err)
			}
			n = info.Size()
		}
		content += n + 64<<10
	}
	// FAT32 begins at 65525 clusters, which are of 1 KiB here
	size := max(content+content/32+spare, 80*mebi) / mebi * mebi
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(file, size); err != nil {
		return err
	}
	if err := tool(ctx, when, "mkfs.vfat", "--invariant", "-F", "32", "-s", "2", "-n", Label, "-i", fmt.Sprintf("%08x", id), file); err != nil {
		return err
	}
	return fill(ctx, file, files, when)
}

func fill(ctx context.Context, file string, files []File, when time.Time) error {
	work, err := os.MkdirTemp(filepath.Dir(file), ".fat-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	made := map[string]bool{".": true}
	for i, f := range files {
		for _, dir := range above(f.Path) {
			if made[dir] {
				continue
			}
			made[dir] = true
			if err := tool(ctx, when, "mmd", "-i", file, "::/"+dir); err != nil {
				return err
			}
		}
		from := f.From
		if from == "" {
			from = filepath.Join(work, strconv.Itoa(i))
			if err := os.WriteFile(from, f.Text, 0o644); err != nil {
				return err
			}
		}
		// without -m the time is that of SOURCE_DATE_EPOCH, not of the file
		if err := tool(ctx, when, "mcopy", "-i", file, from, "::/"+f.Path); err != nil {
			return err
		}
	}
	return nil
}

// above returns the folders above a path, the topmost first.
func above(p string) []string {
	var dirs []string
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		dirs = append([]string{dir}, dirs...)
	}
	return dirs
}

// tool runs a program under a fixed time.
func tool(ctx context.Context, when time.Time, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC", "MTOOLS_SKIP_CHECK=1", "MTOOLSRC=/dev/null",
		"SOURCE_DATE_EPOCH="+strconv.FormatInt(when.Unix(), 10), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: ci/install image installs it", err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(said.String()))
	}
	return nil
}
