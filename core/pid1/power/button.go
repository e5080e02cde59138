package power

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Buttons watches every input device that has a power button: the ACPI button
// of the machine, a key of a keyboard. Devices come and go, so the folder is
// looked at again.
type Buttons struct {
	Dev    string // /dev/input
	Sys    string // /sys/class/input
	Rescan time.Duration

	mu   sync.Mutex
	open map[string]bool
}

// The key and event of linux/input-event-codes.h.
const (
	eventKey  = 1
	keyPower  = 116
	eventSize = 24 // struct input_event on a 64-bit machine
)

// NewButtons watches this machine's.
func NewButtons() *Buttons {
	return &Buttons{Dev: "/dev/input", Sys: "/sys/class/input", Rescan: 5 * time.Second}
}

// Run calls pressed whenever a power button goes down, until ctx ends.
func (b *Buttons) Run(ctx context.Context, pressed func()) {
	b.open = map[string]bool{}
	tick := time.NewTicker(b.Rescan)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		found, _ := filepath.Glob(filepath.Join(b.Dev, "event*"))
		for _, path := range found {
			if b.claim(path) {
				wg.Go(func() { b.watch(ctx, path, pressed) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// claim is true for a device with the key that nobody watches.
func (b *Buttons) claim(path string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[path] {
		return false
	}
	keys, err := os.ReadFile(filepath.Join(b.Sys, filepath.Base(path), "device/capabilities/key"))
	b.open[path] = err == nil && hasKey(string(keys), keyPower)
	return b.open[path]
}

func (b *Buttons) watch(ctx context.Context, path string, pressed func()) {
	defer func() { b.mu.Lock(); delete(b.open, path); b.mu.Unlock() }()
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Now()) })()
	event := make([]byte, eventSize)
	for {
		if n, err := f.Read(event); err != nil || n != eventSize {
			return // it is gone; the next look finds what is there
		}
		if isPress(event) {
			pressed()
		}
	}
}

// isPress reads an event: after the time there are type, code and value.
func isPress(e []byte) bool {
	return binary.NativeEndian.Uint16(e[16:]) == eventKey && binary.NativeEndian.Uint16(e[18:]) == keyPower && binary.NativeEndian.Uint32(e[20:]) == 1
}

// hasKey reads a bitmap of sysfs: words of 64 bits in hex, the highest first.
func hasKey(bitmap string, key int) bool {
	words := strings.Fields(bitmap)
	i := len(words) - 1 - key/64
	if i < 0 {
		return false
	}
	word, err := strconv.ParseUint(words[i], 16, 64)
	return err == nil && word>>(key%64)&1 == 1
}
