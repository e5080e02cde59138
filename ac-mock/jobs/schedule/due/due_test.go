package due

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/transcript"
)

// A transcript is lines of input, each followed by what came of it, indented:
//
//	now TIME                     from here on (15:04:05, or with the date before)
//	add NAME skip|queue CRON
//	runs yes|no                  whether the job of the last tick does
//	at TIME                      a step; what is decided is stored
//	lost TIME                    a step; what is decided is lost by a crash
//	fails TIME                   a step; its job cannot be made
//	for DURATION DURATION        so long, a step that often
func TestTranscripts(t *testing.T) {
	transcript.Test(t, func(t *testing.T, script string) string { return play(t, script) })
}

type player struct {
	t    *testing.T
	now  time.Time
	e    Entry
	runs bool
}

func play(t *testing.T, script string) string {
	var out strings.Builder
	p := &player{t: t, now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "    ") {
			continue // what happened last time
		}
		out.WriteString(line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		for said := range strings.Lines(p.step(words)) {
			out.WriteString("    " + said)
		}
	}
	return out.String()
}

func (p *player) step(w []string) string {
	switch w[0] {
	case "now":
		p.at(w[1:])
	case "add":
		var err error
		p.e, err = New(api.Schedule{Name: w[1], Overlap: api.Overlap(w[2]), Cron: strings.Join(w[3:], " ")}, "ann", p.now)
		if err != nil {
			return err.Error() + "\n"
		}
		return "next " + stamp(p.e.Shown(p.now).Next) + "\n"
	case "runs":
		p.runs = w[1] == "yes"
	case "at", "lost", "fails":
		p.at(w[1:])
		return p.decide(w[0])
	case "for":
		long, _ := time.ParseDuration(w[1])
		step, _ := time.ParseDuration(w[2])
		var out strings.Builder
		for end := p.now.Add(long); p.now.Before(end); {
			p.now = p.now.Add(step)
			out.WriteString(p.decide("at"))
		}
		return out.String()
	}
	return ""
}

func (p *player) at(w []string) {
	p.t.Helper()
	text := strings.Join(w, " ")
	if len(w) == 1 {
		text = p.now.Format("2006-01-02 ") + text
	}
	now, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		p.t.Fatal(err)
	}
	p.now = now
}

func (p *player) decide(how string) string {
	d := Step(p.e, p.runs, p.now)
	if !d.Changed {
		return ""
	}
	var out string
	if d.Job != "" {
		out = fmt.Sprintf("job %s (%s)\n", d.Job, stamp(d.Tick))
	}
	if how == "fails" && d.Job != "" {
		d.Entry = d.Failed(p.e, errors.New("role \"web\": no enrolled node has the role"))
		out = ""
	}
	if d.Entry.Note != p.e.Note {
		out += "note " + d.Entry.Note + "\n"
	}
	if how != "lost" {
		raw, err := json.Marshal(d.Entry)
		if err != nil {
			p.t.Fatal(err)
		}
		p.e = Entry{}
		if err := json.Unmarshal(raw, &p.e); err != nil { // as the store has it
			p.t.Fatal(err)
		}
	}
	return out
}

func TestParse(t *testing.T) {
	since := time.Date(2026, 3, 28, 12, 0, 30, 0, time.UTC)
	for _, c := range []struct{ text, next string }{
		{"*/5 * * * *", "2026-03-28 12:05:00"},
		{"30 2 29 3 *", "2026-03-29 02:30:00"}, // left out by clocks of Brussels
		{"0 0 29 2 *", "2028-02-29 00:00:00"},
		{"0 9 * * mon-fri", "2026-03-30 09:00:00"},
		{"@hourly", "2026-03-28 13:00:00"},
		{"@every 90s", "2026-03-28 12:02:00"},
		{"@every 1s", "2026-03-28 12:00:31"},
		{"@every 500ms", ""}, {"@every 1500ms", ""}, {"@every -1s", ""}, {"@every soon", ""}, {"@every 10000h", ""}, {"@every", ""},
		{"@sometimes", ""}, {"", ""}, {"* * * *", ""}, {"* * * * * *", ""}, {"60 * * * *", ""}, {"*/0 * * * *", ""}, {"5-1 * * * *", ""},
		{"0 0 30 2 *", ""}, {"TZ=0 * * * * *", ""}, {"TZ=", ""}, {"CRON_TZ=Europe/Brussels 30 2 * * *", ""}, {strings.Repeat("1,", 200) + "1 * * * *", ""},
	} {
		times, err := Parse(c.text, since)
		var got string
		if err == nil {
			got = times.Next(since).Format("2006-01-02 15:04:05")
		}
		if got != c.next || (err == nil) == errors.Is(err, ErrCron) {
			t.Errorf("%q: %s, %v; want %s", c.text, got, err, c.next)
		}
	}
}

// Of whatever text: no panic, and times go on and on.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"*/5 * * * *", "@every 1h", "TZ=", "0 0 31 2 *", "1-5/2,7 ? * jan mon"} {
		f.Add(s, int64(1e9))
	}
	f.Fuzz(func(t *testing.T, text string, at int64) {
		since := time.Unix(at%4e9, 0)
		times, err := Parse(text, since)
		if err != nil {
			return
		}
		next := times.Next(since)
		if !next.After(since) || next.Location() != time.UTC {
			t.Fatalf("%q: after %v comes %v", text, since, next)
		}
		if last := times.last(next.Add(-time.Second), next); !last.Equal(next) {
			t.Fatalf("%q: the last up to %v is %v", text, next, last)
		}
	})
}

func TestNew(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	good := api.Schedule{Name: "nightly", Cron: "@daily", Request: api.JobRequest{Exec: api.ExecRequest{Argv: []string{"true"}}}}
	for what, change := range map[string]func(*api.Schedule){
		"":        func(*api.Schedule) {},
		"name":    func(s *api.Schedule) { s.Name = "Nightly" },
		"1 to 40": func(s *api.Schedule) { s.Name = strings.Repeat("a", maxName+1) },
		"a-z":     func(s *api.Schedule) { s.Name = "" },
		"five":    func(s *api.Schedule) { s.Cron = "daily" },
		"overlap": func(s *api.Schedule) { s.Overlap = "kill" },
		"id":      func(s *api.Schedule) { s.Request.ID = "mine" },
	} {
		s := good
		change(&s)
		e, err := New(s, "ann", now)
		if (err == nil) != (what == "") || err != nil && !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %+v, %v", what, e, err)
		}
	}
	good.Overlap, good.Last, good.Note = api.OverlapQueue, &now, "forged"
	e, err := New(good, "ann", now)
	if err != nil || e.Request.Queue != "schedule-nightly" || e.By != "ann" || e.Last != nil || e.Note != "" || !e.Request.Detached {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestNameOf(t *testing.T) {
	taken := map[string]bool{"true": true, "true-2": true}
	for _, c := range []struct {
		e    api.ExecRequest
		want string
	}{
		{api.ExecRequest{Argv: []string{"/usr/bin/apt-get", "update"}}, "apt-get"},
		{api.ExecRequest{Argv: []string{"true"}}, "true-3"},
		{api.ExecRequest{Argv: []string{"/"}}, "job"},
		{api.ExecRequest{Argv: []string{"Sync_é.sh"}}, "sync---sh"},
		{api.ExecRequest{Script: []byte("#!"), Argv: []string{"x"}}, "script"},
		{api.ExecRequest{Builtin: api.BuiltinFacts}, "facts"},
		{api.ExecRequest{Argv: []string{strings.Repeat("x", 100)}}, strings.Repeat("x", maxName-4)},
	} {
		if got := NameOf(c.e, func(n string) bool { return taken[n] }); got != c.want || !named(got) {
			t.Errorf("%+v: %q, want %q", c.e, got, c.want)
		}
	}
}
