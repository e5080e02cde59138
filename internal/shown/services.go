package shown

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/table"
)

// Services writes a table of them, and below it what is wrong with their
// declarations.
func Services(w io.Writer, list api.ServiceList) error {
	t := table.Table{Head: []string{"SERVICE", "STATE", "PID", "SINCE", "RESTARTS", "LAST RUN", "WHY"}, Wraps: true, Dispensable: []string{"RESTARTS", "PID", "LAST RUN"}}
	for _, s := range list.Services {
		pid := ""
		if s.PID > 0 {
			pid = strconv.Itoa(s.PID)
		}
		t.Rows = append(t.Rows, []string{clean(s.Name), clean(s.State), clean(pid), ago(s.Since), strconv.Itoa(s.Restarts), last(s), clean(why(s))})
	}
	if err := t.Print(w); err != nil {
		return err
	}
	for _, p := range list.Problems {
		fmt.Fprintln(w, clean(p))
	}
	return nil
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return max(time.Since(t), 0).Round(time.Second).String()
}

func why(s api.ServiceState) string {
	if s.Next != nil {
		return strings.TrimPrefix(fmt.Sprintf("%s; next %s", s.Why, s.Next.UTC().Format("01-02 15:04:05 UTC")), "; ")
	}
	return s.Why
}

func last(s api.ServiceState) string {
	switch {
	case s.Last == nil:
		return "-"
	case !s.Last.Known:
		return "code not known"
	}
	return fmt.Sprintf("code %d, %s ago", s.Last.Code, ago(s.Last.Ended))
}

// Lines writes the text of log lines (api.LogLine, one a line of JSON) to w, fit
// for a terminal if it is one.
func Lines(w io.Writer) io.Writer { return &lines{w: w} }

type lines struct {
	w    io.Writer
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		l.rest = bytes.Clone(rest)
		var one api.LogLine
		if err := json.Unmarshal(line, &one); err != nil {
			return 0, fmt.Errorf("log line: %w", err)
		}
		if table.IsTerminal(l.w) {
			one.Line = strings.Map(printable, one.Line)
		}
		if _, err := fmt.Fprintln(l.w, one.Line); err != nil {
			return 0, err
		}
	}
}

// printable keeps what a terminal obeys out of it.
func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
		return '?'
	}
	return r
}
