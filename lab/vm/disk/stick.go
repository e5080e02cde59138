package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// What Debian's ovmf brings to boot a machine by UEFI.
const (
	OVMFCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	OVMFVars = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// Stick makes one machine's stick out of the image (build/g8os.img, raw), with
// files in the folder g8os of its first partition, as an operator puts them
// there. It is a raw copy: holes stay holes. One that is there already stays.
func Stick(ctx context.Context, image, path string, m Medium) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("stick %s: %w", path, err) }
	st, err := os.Stat(image)
	if err != nil {
		return fail(fmt.Errorf("%w; make image builds it", err))
	}
	at, err := firstPartition(image)
	if err != nil {
		return fail(err)
	}
	err = aside(path, st.Size(), func(tmp string) error {
		if err := run(ctx, "cp", "--sparse=always", "--reflink=auto", image, tmp); err != nil {
			return err
		}
		return m.copyTo(ctx, fmt.Sprintf("%s@@%d", tmp, at))
	})
	if err != nil {
		return fail(err)
	}
	return nil
}

const sector = 512

// firstPartition is where the first partition of a disk begins, in bytes (UEFI
// specification 2.10, section 5.3: the header in sector 1, the entries where it
// says, their first LBA at byte 32).
func firstPartition(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	bad := errors.New("no GUID partition table on it: is it an image of G8OS?")
	header := make([]byte, 92)
	if _, err := f.ReadAt(header, sector); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if !bytes.HasPrefix(header, []byte("EFI PART")) {
		return 0, bad
	}
	entry := make([]byte, 128)
	if _, err := f.ReadAt(entry, int64(binary.LittleEndian.Uint64(header[72:]))*sector); err != nil {
		return 0, bad
	}
	first := int64(binary.LittleEndian.Uint64(entry[32:]))
	if first < 34 {
		return 0, bad
	}
	return first * sector, nil
}
