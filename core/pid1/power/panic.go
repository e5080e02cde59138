package power

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Panic says what to do when PID 1 fails.
type Panic struct {
	Wait time.Duration               // for a person to read it, before the reboot
	Log  func(context.Context) error // end the boot log
	Feed func()                      // the watchdog, which must not cut the reading short
	Say  *slog.Logger
	Out  io.Writer // the console; nil: /dev/console

	reboot func() // tests'
}

// logLimit is for a boot log that hangs too.
const logLimit = 5 * time.Second

// Guard is deferred by every goroutine of PID 1: what would take PID 1 down,
// and with it the kernel, becomes a reboot that says why. It does not return
// after a panic.
func (p *Panic) Guard() {
	if cause := recover(); cause != nil {
		p.Report(cause, debug.Stack())
	}
}

// Report logs a panic and reboots.
func (p *Panic) Report(cause any, stack []byte) {
	out := p.Out
	if out == nil {
		if console, err := os.OpenFile("/dev/console", os.O_WRONLY|unix.O_NOCTTY, 0); err == nil {
			out = console
		} else {
			out = os.Stderr
		}
	}
	if p.reboot == nil {
		_, _ = unix.Klogctl(unix.SYSLOG_ACTION_CONSOLE_LEVEL, make([]byte, 1)) // it is said below, in one piece
	}
	p.Say.Error("panic: PID 1 of G8OS has failed", "cause", fmt.Sprint(cause))
	for line := range strings.Lines(string(stack)) {
		p.Say.Error(strings.TrimRight(line, "\n"))
	}
	fmt.Fprintf(out, "\r\n\r\n*** G8OS: panic of PID 1: %v\r\n\r\n%s\r\n", cause, strings.ReplaceAll(string(stack), "\n", "\r\n"))
	if p.Log != nil {
		ctx, cancel := context.WithTimeout(context.Background(), logLimit)
		_ = p.Log(ctx)
		cancel()
	}
	go unix.Sync() // it may hang
	p.count(out)
	if p.reboot == nil {
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
		return
	}
	p.reboot()
}

// count shows the seconds that are left.
func (p *Panic) count(out io.Writer) {
	const tick = time.Second
	for left := p.Wait; left > 0; left -= tick {
		if s := int(left / tick); s <= 5 || s%5 == 0 {
			fmt.Fprintf(out, "*** G8OS: reboot in %d s\r\n", s)
		}
		if p.Feed != nil {
			p.Feed()
		}
		time.Sleep(min(tick, left))
	}
	fmt.Fprint(out, "*** G8OS: rebooting\r\n")
}
