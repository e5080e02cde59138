package doctor

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a lab needs works on a machine that tests labs, and is proved within
// namespaces: nothing may be there afterwards that was not before.
func TestTheNetworkIsProved(t *testing.T) {
	before := links(t)
	var all []Result
	if err := network(t.Context(), func(r Result) { all = append(all, r) }); err != nil {
		t.Fatal(err)
	}
	if len(all) != len((&site{}).checks()) {
		t.Errorf("%d results of %d checks", len(all), len((&site{}).checks()))
	}
	for _, r := range all {
		t.Logf("%-8s %-12s %s (%.2f s)", r.State, r.Name, r.Found, r.Seconds)
		if r.State == Broken {
			t.Errorf("%s: %s", r.Name, r.Found)
		}
		if r.State != OK && r.Remedy == "" {
			t.Errorf("%s: no remedy", r.Name)
		}
	}
	if _, err := os.Stat(scratch); err == nil {
		t.Errorf("%s is left behind", scratch)
	}
	if after := links(t); !slices.Equal(before, after) {
		t.Errorf("interfaces before: %v, after: %v", before, after)
	}
}

// links are the interfaces of the host, which other tests may not touch either.
func links(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestTheSandboxDiesWithWhoAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	err := network(ctx, func(r Result) {
		if seen++; r.Name == "switch" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || seen >= len((&site{}).checks()) {
		t.Errorf("%v after %d checks", err, seen)
	}
	// The switch is among the processes of the sandbox; its files were in there.
	out, _ := exec.Command("ps", "-eo", "args").Output()
	if strings.Contains(string(out), scratch) {
		t.Errorf("still there:\n%s", out)
	}
}

func TestACheckEndsAndCountsAsItShould(t *testing.T) {
	hangs := func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	works := func(context.Context) (string, error) { return "1 of 1", nil }
	for _, c := range []struct {
		check check
		state State
	}{
		{check{"a", true, 10 * time.Millisecond, "do so", hangs}, Broken},
		{check{"b", false, 10 * time.Millisecond, "do so", hangs}, Absent},
		{check{"c", true, time.Minute, "do so", works}, OK},
	} {
		r := c.check.run(t.Context())
		if r.State != c.state || (r.State == OK) != (r.Remedy == "") {
			t.Errorf("%s: %+v", c.check.name, r)
		}
		if Failed([]Result{r}) != (c.state == Broken) {
			t.Errorf("%s counts wrongly", c.check.name)
		}
	}
}

func TestReceived(t *testing.T) {
	n, err := received("1000 packets transmitted, 898 received, 10.2% packet loss, time 1500ms")
	if err != nil || n != 898 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := received("ping: socket: not permitted"); err == nil {
		t.Error("reads what is not there")
	}
}

func TestWithoutAKernelItSaysSo(t *testing.T) {
	for _, c := range machineChecks(Options{}) {
		if c.name == "uefi" {
			continue // boots none
		}
		if r := c.run(t.Context()); r.State != Absent || !strings.Contains(r.Found, "there is no") || !strings.Contains(r.Remedy, "make image-base") {
			t.Errorf("%+v", r)
		}
	}
}
