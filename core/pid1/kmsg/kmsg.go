// Package kmsg is PID 1's voice before there is any other: a slog.Handler that
// writes to the kernel's log, and so to every console and into pstore.
//
// It promises that a record is one line of bounded length, whatever is in it.
// What the kernel then shows on the console is the kernel's decision (loglevel);
// debug records are only in its buffer.
package kmsg

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// Device is the kernel's log.
const Device = "/dev/kmsg"

// maxLine is the longest line the kernel takes in one piece (its LOG_LINE_MAX
// less the prefix).
const maxLine = 900

// Open returns a logger that writes to the kernel's log. Userspace may write
// ten lines in five seconds only unless the kernel is told otherwise, so it is.
func Open() (*slog.Logger, error) {
	_ = os.WriteFile("/proc/sys/kernel/printk_devkmsg", []byte("on\n"), 0o644) // else some lines are lost: it says how many
	f, err := os.OpenFile(Device, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("the kernel's log: %w", err)
	}
	return slog.New(New(f)), nil
}

// Handler formats records for the kernel's log.
type Handler struct {
	text slog.Handler
	mu   *sync.Mutex
	buf  *bytes.Buffer
	w    io.Writer
}

// New returns a Handler that makes one Write a record.
func New(w io.Writer) *Handler {
	buf := new(bytes.Buffer)
	text := slog.NewTextHandler(buf, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: drop})
	return &Handler{text: text, mu: new(sync.Mutex), buf: buf, w: w}
}

// drop leaves out what the kernel adds itself.
func drop(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

// Enabled is true for every level.
func (h *Handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle writes "<priority>g8os: message key=value …".
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Reset()
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	line := strings.TrimSpace(r.Message + " " + h.buf.String())
	line = strings.Map(printable, line)
	if len(line) > maxLine {
		line = strings.ToValidUTF8(line[:maxLine], "") + "…"
	}
	_, err := fmt.Fprintf(h.w, "<%d>g8os: %s\n", Priority(r.Level), line)
	return err
}

// printable keeps a line one line, and terminals free of surprises.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 { // C0, C1
		return ' '
	}
	return r
}

// Priority is the kernel's for a level (syslog(3)).
func Priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(as []slog.Attr) slog.Handler { return h.with(h.text.WithAttrs(as)) }

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler { return h.with(h.text.WithGroup(name)) }

func (h *Handler) with(text slog.Handler) slog.Handler {
	n := *h
	n.text = text
	return &n
}
