package shown

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

// What a node says moves no cursor, and what it does not say leaves no hole.
func TestNothingObeysATerminal(t *testing.T) {
	const evil = "evil\x1b[2J\n"
	now := time.Unix(1e9, 0)
	var out bytes.Buffer
	for _, f := range []api.Facts{{}, {
		Time: now, Boot: now.Add(-time.Hour), Hostname: evil, OS: evil, Versions: map[string]string{"ovs": evil}, CPU: api.CPUFacts{Model: evil, Flags: []string{evil}},
		Disks: []api.DiskFacts{{Name: evil, Model: evil}}, Mounts: []api.MountFacts{{Path: evil, ReadOnly: true}}, NICs: []api.NICFacts{{Name: evil, Speed: 1000, Addresses: []string{evil}}},
	}} {
		if err := Facts(&out, f); err != nil {
			t.Fatal(err)
		}
	}
	for _, top := range []api.Top{{}, {
		Time: now, Processes: []api.ProcessUse{{PID: 1, Name: evil, CPU: 1.5, Group: evil}}, Groups: []api.GroupUse{{Name: evil}},
		Disks: []api.DiskTraffic{{Name: evil, ReadRate: 2048}}, Nets: []api.NetTraffic{{Name: evil, InRate: 1}},
	}} {
		if err := Top(&out, top); err != nil {
			t.Fatal(err)
		}
	}
	text := out.String()
	if strings.Contains(text, "\x1b") || !strings.Contains(text, "evil?[2J?") {
		t.Errorf("%q", text)
	}
	for _, want := range []string{"1h0m0s ago", "read-only", "1000 Mbit/s", "150%", "read 2.0 KiB/s"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
