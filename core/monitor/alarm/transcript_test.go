package alarm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/transcript"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A script has lines
//
//	rules TEXT              the rules, as TOML on one line ("; " for a new line)
//	at SECONDS READING…     a step; a reading is MEASURE[:SUBJECT]=VALUE
//	  > …                   what the machine did
func play(t *testing.T, script string) string {
	m := New(Defaults())
	var out strings.Builder
	tell := func(changes []Change) {
		for _, c := range changes {
			fmt.Fprintf(&out, "  > %s %s raised=%v level=%d: %s\n", c.Rule.Name, c.Subject, c.Raised, c.Rule.Level, c.Text())
		}
	}
	for _, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		if strings.HasPrefix(line, "  > ") {
			continue
		}
		fmt.Fprintln(&out, line)
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "rules":
			rules, err := Parse("alarms.toml", []byte(strings.ReplaceAll(rest, "; ", "\n")))
			if err != nil {
				fmt.Fprintf(&out, "  > %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  > "))
				continue
			}
			tell(m.SetRules(rules))
		case "at":
			now, readings := step(t, rest)
			tell(m.Step(readings, now))
			fmt.Fprintf(&out, "  > %d raised\n", m.Raised())
		case "#", "":
		default:
			t.Fatalf("%q is no line of a script", line)
		}
	}
	return out.String()
}

func step(t *testing.T, text string) (now time.Time, readings []Reading) {
	fields := strings.Fields(text)
	var seconds float64
	if _, err := fmt.Sscan(fields[0], &seconds); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	for _, f := range fields[1:] {
		what, value, _ := strings.Cut(f, "=")
		measure, subject, _ := strings.Cut(what, ":")
		r := Reading{Measure: Measure(measure), Subject: subject}
		if _, err := fmt.Sscan(value, &r.Value); err != nil {
			t.Fatalf("%q: %v", f, err)
		}
		readings = append(readings, r)
	}
	return start.Add(time.Duration(seconds * float64(time.Second))), readings
}

func TestTranscripts(t *testing.T) { transcript.Test(t, play) }
