package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/g8os/g8os/lab/run/record"
)

func TestSimMistakes(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("there.g8run", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("bad.txt", []byte("5s kill\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("other.txt", []byte("5s kill on=nobody\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		want string
	}{
		{"--seeds 2000..1000", "--seeds 2000..1000: the wrong way round; want 1000..2000"},
		{"--seeds 5", "--seeds 5: want FROM..TO, such as 1000..2000"},
		{"--seeds a..b", "want FROM..TO"},
		{"--seeds=-1..2", "want FROM..TO"},
		{"--hours=-1", "--for -1h0m0s: want a time above 0"},
		{"--for=-5s", "--for -5s: want a time above 0"},
		{"--boot=-1s", "--boot -1s: want"},
		{"--jobs=-1s", "--jobs -1s: want"},
		{"--settle=-1s", "--settle -1s: want"},
		{"--hours 1 --for 1h", "want one"},
		{"--seed 1 --seeds 1..2", "want one of them"},
		{"--nodes 0", "--nodes 0: want 1 or more"},
		{"--nodes=-3", "--nodes -3: want 1 or more"},
		{"--acs 0", "--acs 0: want 1 or more"},
		{"--procs 0", "--procs 0: want 1 or more"},
		{"--plan mayhem", `chaos "mayhem": no such plan; there are ac-outage,`},
		{"--plan power --every 1h", "for 5m0s: want 1h0m0s or more"},
		{"--plan power --schedule bad.txt", "want one"},
		{"--schedule bad.txt", "on is missing"},
		{"--schedule other.txt", "at 5s: fault kill:"},
		{"--schedule nothing.txt", "no such file"},
		{"nothing.yaml", "no such file"},
		{"--swarm --nodes 5", "--nodes: with --swarm that is drawn from the seed"},
		{"--swarm --for 1s", "--for 1s: want 10s or more with --swarm"},
		{"--swarm --without mayhem", `fault "mayhem": no such thing`},
		{"--without power", "want both or none"},
		{"--seeds 1..2 --log a.log", "--log is of one run"},
		{"--record there.g8run", "is there already"},
		{"--log nowhere/a.log", "no such file"},
	} {
		out, errs, err := g8lab(t, append([]string{"sim"}, strings.Fields(tt.args)...)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || codeOf(err) != exitUsage || out+errs != "" {
			t.Errorf("%s: got %v (exit %d), want %s\n%s%s", tt.args, err, codeOf(err), tt.want, out, errs)
		}
	}
	if made, err := os.ReadDir("."); err != nil || len(made) != 3 {
		t.Errorf("something was made: %v, %v", made, err)
	}
}

var historyLine = regexp.MustCompile(`(?m)^history: [0-9a-f]{16}, the same when run again$`)

func TestSim(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct{ args, want string }{
		{"--for 1m --seed 7 --twice", "6 nodes on 3 segments, 1 AC (the grid of g8lab up), seed 7"},
		{"--for 1m --nodes 20 --acs 2 --boot 5s --twice", "20 nodes on 3 segments, 2 ACs (segments made for them), seed 1"},
		{"--for 1m --plan power --record a.g8run --log a.log --twice", "/a.g8run makes a page of it"},
		{"--for 1m --swarm --seed 5 --twice", "(drawn from the seed), seed 5"},
	} {
		out, errs, err := g8lab(t, append([]string{"sim"}, strings.Fields(tt.args)...)...)
		if err != nil || !strings.Contains(out, tt.want) || !strings.Contains(out, "\npassed: ") || !historyLine.MatchString(out) || errs != "" {
			t.Errorf("%s: %v\n%s%s\nwant %s", tt.args, err, out, errs, tt.want)
		}
	}
	rec, err := record.Read("a.g8run")
	if err != nil || len(rec.Faults) == 0 || rec.End.Hash == "" {
		t.Errorf("record: %v, %+v", err, rec)
	}
	if log, err := os.ReadFile("a.log"); err != nil || len(log) == 0 {
		t.Errorf("log: %v, %d bytes", err, len(log))
	}
	if out, _, err := g8lab(t, "replay", "a.g8run"); err != nil || !strings.Contains(out, "the history is the one that was recorded") {
		t.Errorf("replay: %v\n%s", err, out)
	}
}

func TestSimJSON(t *testing.T) {
	out, _, err := g8lab(t, "sim", "--for", "1m", "-o", "json")
	var l life
	if e := json.Unmarshal([]byte(out), &l); err != nil || e != nil || l.Verdict != "passed" || l.Nodes != 6 || l.Events == 0 || len(l.Hash) != 16 || l.Replaced == "" {
		t.Errorf("%v, %v\n%s", err, e, out)
	}
	out, _, err = g8lab(t, "sim", "--for", "1m", "--seeds", "1..3", "--swarm", "-o", "json")
	var c crowd
	if e := json.Unmarshal([]byte(out), &c); err != nil || e != nil || c.Ran != 3 || !c.Twice || len(c.Reached) == 0 || c.Missed != nil {
		t.Errorf("%v, %v\n%s", err, e, out)
	}
}

// Of many seeds the first that fails is made small, recorded and said as a
// command. Here a node has too little time to come back.
func TestSimFindsWhatFails(t *testing.T) {
	t.Chdir(t.TempDir())
	schedule := "2s dhcp-silent on=dhcp for=10s\n5s kill on=office-2 for=3s\n12s power on=office-1\n"
	if err := os.WriteFile("faults.txt", []byte(schedule), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _, err := g8lab(t, "sim", "--seeds", "4..6", "--schedule", "faults.txt", "--for", "20s", "--settle", "500ms", "--keep-going", "--procs", "2")
	if err == nil || codeOf(err) != exitFailed || !strings.Contains(err.Error(), "of 3 seeds failed; the first: 4: ") {
		t.Fatalf("got %v\n%s", err, out)
	}
	var said strings.Builder
	report(&said, err)
	if !strings.Contains(said.String(), "→ bin/g8lab replay g8lab-sim-4.g8run runs it again") {
		t.Errorf("got %s", said.String())
	}
	rec, err := record.Read("g8lab-sim-4.g8run")
	if err != nil || rec.End.Verdict != "violated" || len(rec.Schedule) > 1 {
		t.Errorf("record: %v, %+v\n%s", err, rec, out)
	}
	if _, err := os.Stat(filepath.Join(".", "g8lab-sim-5.g8run")); err == nil {
		t.Error("a second one was recorded")
	}
}
