// Package cmdline reads the kernel's command line for what is meant for PID 1.
//
//	g8os.hold            wait for "go" on the guest channel before stage 2
//	g8os.guest           serve the guest channel
//	g8os.hostname=NAME   unless "go" says another
//	g8os.token=TOKEN     join token, for a machine that no AC knows yet
//	g8os.state=off       use no state disk
//	g8os.tools=off       mount no tools layer
//	g8os.medium          wait longer for the boot medium
//	g8os.watchdog=off    leave the watchdog alone
//	g8os.panic=SECONDS   time to read a panic of PID 1 before the reboot
//
// It promises that a mistake costs one argument and is told of, never the boot.
package cmdline

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const prefix = "g8os."

// DefaultPanic is how long a panic of PID 1 can be read.
const DefaultPanic = 30 * time.Second

const maxPanic = 24 * time.Hour

// Args is what the command line asks of PID 1.
type Args struct {
	Hold, Guest, Medium          bool
	NoState, NoTools, NoWatchdog bool
	Hostname, Token              string
	Panic                        time.Duration
}

// Parse reads a command line. Each problem is one argument that was left out.
func Parse(line string) (a Args, problems []error) {
	a.Panic = DefaultPanic
	for _, word := range split(line) {
		name, value, given := strings.Cut(word, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if err := a.set(strings.TrimPrefix(name, prefix), value, given); err != nil {
			problems = append(problems, fmt.Errorf("kernel argument %q: %w; it is left out", word, err))
		}
	}
	return a, problems
}

func (a *Args) set(name, value string, given bool) error {
	switch name {
	case "hold":
		return set(&a.Hold, value, given)
	case "guest":
		return set(&a.Guest, value, given)
	case "medium":
		return set(&a.Medium, value, given)
	case "state":
		return unset(&a.NoState, value)
	case "tools":
		return unset(&a.NoTools, value)
	case "watchdog":
		return unset(&a.NoWatchdog, value)
	case "hostname":
		if !Hostname(value) {
			return fmt.Errorf("want a host name: letters, digits, - and ., at most %d", maxHostname)
		}
		a.Hostname = value
		return nil
	case "token":
		if value == "" || len(value) > maxToken {
			return fmt.Errorf("want a join token, as g8os token create prints it")
		}
		a.Token = value
		return nil
	case "panic":
		seconds, err := strconv.Atoi(value)
		if d := time.Duration(seconds) * time.Second; err == nil && d >= 0 && d <= maxPanic {
			a.Panic = d
			return nil
		}
		return fmt.Errorf("want whole seconds, 0 to %d", int(maxPanic.Seconds()))
	}
	return fmt.Errorf("is not known")
}

// set reads an argument that is on by being there.
func set(on *bool, value string, given bool) error {
	switch {
	case !given, value == "on", value == "1":
		*on = true
	case value == "off", value == "0":
		*on = false
	default:
		return fmt.Errorf("want on, off or nothing")
	}
	return nil
}

// unset reads an argument that can turn off what is on.
func unset(off *bool, value string) error {
	switch value {
	case "off", "0":
		*off = true
	case "on", "1":
		*off = false
	default:
		return fmt.Errorf("want on or off")
	}
	return nil
}

// split cuts at blanks outside of double quotes, as the kernel does.
func split(line string) []string {
	quoted := false
	words := strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n')
	})
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, `"`, "")
	}
	return words
}

// maxToken is more than any join token has, in bytes.
const maxToken = 256

// maxHostname is the kernel's bound (HOST_NAME_MAX).
const maxHostname = 64

// Hostname tells whether a text may name a machine (RFC 1123, section 2.1).
func Hostname(name string) bool {
	if name == "" || len(name) > maxHostname {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, notInLabel) {
			return false
		}
	}
	return true
}

func notInLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
}
