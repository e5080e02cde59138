package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client/clienttest"
	"github.com/g8os/g8os/core/api"
)

func TestScheduleCommands(t *testing.T) {
	g, w := clienttest.NewGrid(t), newWorking(t)
	path := g.Context("default", g.AC(w.handler(), time.Now().Add(time.Hour)))
	t.Chdir(t.TempDir())
	if err := os.WriteFile("check.sh", []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"schedule add '*/5 * * * *' --role web -- sync -v", 0, "schedule        made\nwhen            */5 * * * * (UTC)\n", ""},
		{"schedule add nightly '30 2 * * *' n1 --queue 1h -- date -u", 0, "arguments       [\"-u\"]\n", ""},
		{"schedule add @daily --overlap queue --all -- date", 0, "while one runs  the next waits for it\n", ""},
		{"schedule add beat '@every 90s' n1,n2 --script check.sh -- --fast", 0, "for             n1,n2\ncommand         (script)\narguments       [\"--fast\"]\n", ""},
		{"schedule add '@every 90s' n1 -- sh -- x -o", 0, "arguments       [\"--\" \"x\" \"-o\"]\n", ""},
		{"schedule list", 0, "NAME     WHEN         NEXT   LAST  FOR         COMMAND   NOTE\nmade     */5 * * * *  in 1m  -     --role web  sync      -\nnightly  30 2 * * *   in 1m  -     n1          date      -\n", ""},
		{"schedule list -o json", 0, `"cron": "30 2 * * *"`, ""},
		{"schedule show nightly", 0, "last            -\n", ""},
		{"schedule show nightly -o json", 0, `"ttl_ms": 3600000`, ""},
		{"schedule show none", 1, "", "no such schedule\n      → g8os schedule list"},
		{"schedule remove nightly", 0, "schedule nightly (30 2 * * *) is removed\n", ""},
		{"schedule remove nightly", 1, "", "no such schedule"},
		{"schedule add '1 2 3' n1 -- date", 1, "", "not a schedule\n      → man crontab"},
		{"schedule add */5 a b -- date", 2, "", "want five fields in quotes"},
		{"schedule add nightly", 2, "", "no time"},
		{"schedule add @daily", 2, "", "no node"},
		{"schedule add @daily n1", 2, "", "no command"},
		{"schedule add @daily n1 --all -- date", 2, "", "say one of them"},
		{"schedule add nightly @daily n1 --all -- date", 2, "", "say one of them"},
		{"schedule add @daily n1 --script missing.sh", 2, "", "missing.sh"},
		{"schedule add @daily --overlap kill n1 -- date", 2, "", "overlap"},
	} {
		code, stdout, stderr := try(t, path, split(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || c.stdout == "" && stdout != "" ||
			!strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
			t.Errorf("g8os %s: exit %d, want %d\nstdout: %s\nstderr: %s", c.args, code, c.code, stdout, stderr)
		}
	}
	got, _ := json.Marshal(w.sched[1].Request)
	want, _ := json.Marshal(api.JobRequest{To: api.Address{All: true}, Exec: api.ExecRequest{Argv: []string{"date"}}})
	if string(got) != string(want) {
		t.Errorf("asked for %s, want %s", got, want)
	}
}
