package device

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"github.com/g8os/g8os/core/durable"
)

// NextCounter returns a number greater than any that it ever returned for this
// folder; it is on disk, synced, before it is returned. When both copies of
// the counter are damaged it goes on from the seconds since 1970: far more
// than a node ever asks, so an AC sees a leap, not a step back.
func (d *Device) NextCounter() (uint64, error) {
	d.counting.Lock()
	defer d.counting.Unlock()
	path := filepath.Join(d.o.Dir, CounterFile)
	last, damage, err := durable.Read(d.o.Disk, path, parseCounter)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		last = 0
	case err != nil:
		last = uint64(max(0, d.o.Now().Unix()))
	case damage != nil:
		last++ // the damaged copy was one ahead of the previous one
	}
	next := last + 1
	if damage != nil { // the previous copy must not fall behind by more than one
		if err := durable.Write(d.o.Disk, path+durable.Previous, formatCounter(next), 0o600); err != nil {
			return 0, fmt.Errorf("count a request: %w", err)
		}
	}
	if err := durable.WriteKeeping(d.o.Disk, path, formatCounter(next), 0o600, goodCounter); err != nil {
		return 0, fmt.Errorf("count a request: %w", err)
	}
	return next, nil
}

func formatCounter(n uint64) []byte {
	text := fmt.Sprintf("%d", n)
	return fmt.Appendf(nil, "%s %08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

func parseCounter(raw []byte) (uint64, error) {
	var n uint64
	var sum uint32
	if _, err := fmt.Sscanf(string(raw), "%d %x\n", &n, &sum); err != nil {
		return 0, fmt.Errorf("counter %q: %w", raw, err)
	}
	if string(formatCounter(n)) != string(raw) {
		return 0, fmt.Errorf("counter %q: checksum is wrong", raw)
	}
	return n, nil
}

func goodCounter(raw []byte) bool {
	_, err := parseCounter(raw)
	return err == nil
}
