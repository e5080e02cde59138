package console

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/console/screen"
)

// writeLimit is for a line whose other end has stopped it.
const writeLimit = 5 * time.Second

// kernelLevel is the level below which the kernel's messages go on to the
// consoles once the screen is drawn: errors and worse.
const kernelLevel = 4

// output is one console. Views are handed to its own goroutine, the newest
// counts.
type output struct {
	name   string
	dev    *os.File
	screen bool
	views  chan screen.View
	calm   screen.Calm
}

// open opens the consoles the kernel writes to. A console that cannot be
// opened is said once and left out.
func (c *Console) open() []*output {
	raw, err := os.ReadFile(c.o.Active)
	if err != nil {
		c.o.Log.Warn("cannot tell which consoles there are; nothing is shown", "error", err)
	}
	var outs []*output
	for _, name := range strings.Fields(string(raw)) {
		file := name
		if name == "tty0" { // whichever is in front; the first screen stays on the first
			file = "tty1"
		}
		// Without O_NONBLOCK a line without carrier would keep us for ever, and
		// writing knew no deadline.
		dev, err := os.OpenFile(filepath.Join(c.o.Devices, file), os.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err != nil {
			c.o.Log.Warn("cannot show anything on a console", "console", name, "error", err)
			continue
		}
		outs = append(outs, &output{name: name, dev: dev, screen: isScreen(name), views: make(chan screen.View, 1)})
	}
	return outs
}

// isScreen tells a virtual terminal (tty0, tty7) from a line (ttyS0, ttyAMA0, hvc0).
func isScreen(name string) bool {
	number := strings.TrimPrefix(name, "tty")
	return number != name && number != "" && strings.Trim(number, "0123456789") == ""
}

// show hands over the newest view, in place of one that was not drawn yet.
func (o *output) show(v screen.View) {
	select {
	case <-o.views:
	default:
	}
	o.views <- v // there is room: only we write
}

func (o *output) run(ctx context.Context) {
	defer o.dev.Close()
	var again <-chan time.Time
	var v screen.View
	for {
		select {
		case <-ctx.Done():
			return
		case v = <-o.views:
		case <-again:
			v.Waiting, v.Uptime = v.Waiting+Uptime()-v.Uptime, Uptime()
		}
		if o.screen {
			o.draw(ctx, v)
			continue
		}
		text, after := o.calm.Step(v.Uptime, v, columns)
		o.write(ctx, text)
		again = nil
		if after > 0 {
			again = time.After(after)
		}
	}
}

// The size of a screen that does not say its own, and of every serial line.
const (
	columns = 80
	lines   = 25
)

// Escape sequences of a VT102 and the Linux console (console_codes(4)).
const (
	home      = "\x1b[H"
	toLineEnd = "\x1b[K"
	toEnd     = "\x1b[J"
	hide      = "\x1b[?25l"
	plain     = "\x1b[0m"
)

var colours = map[screen.Style]string{screen.Head: "\x1b[0;1m", screen.Ask: "\x1b[0;1;32m", screen.Bad: "\x1b[0;33m"}

// draw paints over what is there, so that nothing flickers and what the kernel
// scribbled goes away.
func (o *output) draw(ctx context.Context, v screen.View) {
	width, height := columns, lines
	if c, err := o.dev.SyscallConn(); err == nil { // Fd would make writing know no deadline
		_ = c.Control(func(fd uintptr) {
			if ws, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil && ws.Col > 0 && ws.Row > 0 {
				width, height = int(ws.Col), int(ws.Row)
			}
		})
	}
	var b strings.Builder
	b.WriteString(hide + home)
	for i, l := range screen.Lines(v, width-1, height-1) { // the last column and line would scroll
		if i > 0 {
			b.WriteString("\r\n")
		}
		fmt.Fprint(&b, colours[l.Style], l.Text, plain, toLineEnd)
	}
	b.WriteString("\r\n" + toEnd)
	o.write(ctx, b.String())
}

func (o *output) write(ctx context.Context, text string) {
	if text == "" {
		return
	}
	_ = o.dev.SetWriteDeadline(time.Now().Add(writeLimit))
	defer context.AfterFunc(ctx, func() { _ = o.dev.SetWriteDeadline(time.Now()) })()
	_, _ = o.dev.WriteString(text) // a console that is not read has nobody to tell
}

// quieten keeps the kernel's messages off the consoles, errors excepted. They
// are in the boot log all the same.
func quieten() {
	_, _ = unix.Klogctl(unix.SYSLOG_ACTION_CONSOLE_LEVEL, make([]byte, kernelLevel))
}
