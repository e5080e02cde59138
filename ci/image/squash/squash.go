// Package squash makes squashfs images of trees with mksquashfs, from a stream: nothing is
// unpacked, so owners and special files are what the tree says.
//
// It promises that the same tree gives the same bytes.
package squash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/g8os/g8os/ci/image/tree"
)

// Options are how an image is compressed. They are part of a layer's key.
const Options = "-comp zstd -Xcompression-level 9 -b 128K -no-xattrs -root-mode 0755 -reproducible -no-progress -quiet"

// Make writes an image of the tree to file; every time in it is when.
func Make(ctx context.Context, file string, t *tree.Tree, when time.Time) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) { // mksquashfs would append
		return err
	}
	seconds := strconv.FormatInt(when.Unix(), 10)
	args := append([]string{"-", file, "-tar", "-mkfs-time", seconds, "-all-time", seconds}, strings.Fields(Options)...)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mksquashfs", args...)
	cmd.Env = withoutEpoch(os.Environ())
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting mksquashfs (package squashfs-tools): %w", err)
	}
	written := errors.Join(t.WriteTar(in, when), in.Close())
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("mksquashfs: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return written
}

// withoutEpoch takes out what mksquashfs does not bear beside -mkfs-time.
func withoutEpoch(env []string) []string {
	var kept []string
	for _, v := range env {
		if !strings.HasPrefix(v, "SOURCE_DATE_EPOCH=") {
			kept = append(kept, v)
		}
	}
	return kept
}
