package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

func TestGridIsSorted(t *testing.T) {
	now := time.Unix(1e9, 0)
	list := []api.NodeMetrics{
		{Name: "n-10", Time: now, Metrics: api.Metrics{CPU: .1, MemUsed: 9, MemTotal: 10, NetInRate: 5}},
		{Name: "n-2", Time: now, Metrics: api.Metrics{CPU: .1, MemUsed: 50, MemTotal: 100, DiskUsed: 1, DiskTotal: 2}},
		{Name: "n-1", Time: now.Add(-time.Minute), Metrics: api.Metrics{CPU: .9, Load1: 7}},
	}
	for by, want := range map[string]string{"cpu": "n-1 n-2 n-10", "mem": "n-10 n-2 n-1", "disk": "n-2 n-1 n-10", "net": "n-10 n-1 n-2", "load": "n-1 n-2 n-10", "name": "n-1 n-2 n-10"} {
		(&topCmd{Sort: by}).sort(list)
		var out bytes.Buffer
		if err := gridTable(&out, list, now); err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(out.String()) {
			names = append(names, strings.Fields(line)[0])
		}
		if got := strings.Join(names[1:], " "); got != want {
			t.Errorf("by %s: %s, want %s", by, got, want)
		}
	}
}
