package metrics

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
)

// touched are metrics of which every name of this package has been seen once.
// Those that the server adds are added by it: server.TestMetricsAreDocumented.
func touched(t *testing.T) *Metrics {
	t.Helper()
	m := New("g", "ac1", "v")
	m.Refused("storm")
	m.Handshake("passed", time.Millisecond)
	m.Request("/healthz", 200, time.Millisecond)
	m.Shed()
	m.SessionOpened()
	m.SessionEnded("left")
	m.Frame("heartbeat")
	if _, err := m.Store(memory.New(memory.Options{})).Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("k", nil)}}); err != nil {
		t.Fatal(err)
	}
	return m
}

// Every name that is exposed stands in METRICS.md, with its type and labels.
func TestDocumented(t *testing.T) {
	table, err := os.ReadFile("../METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range touched(t).Rows() {
		if !strings.Contains(string(table), row) {
			t.Errorf("METRICS.md has no row that begins with %q", row)
		}
	}
}

// What the store said is counted by what it means.
func TestStoreResults(t *testing.T) {
	m := New("g", "ac1", "v")
	s := m.Store(memory.New(memory.Options{}))
	ctx := context.Background()
	put := store.Txn{If: []store.Cond{{Key: "k"}}, Then: []store.Op{store.Put("k", nil)}}
	if _, err := s.Txn(ctx, put); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Txn(ctx, put); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("second put: %v", err)
	}
	if _, err := s.Get(ctx, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("get: %v", err)
	}
	text, err := m.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{op="txn",result="ok"} 1`, `{op="txn",result="conflict"} 1`, `{op="get",result="not_found"} 1`} {
		if !strings.Contains(string(text), "g8os_ac_store_seconds_count"+want) {
			t.Errorf("want %s in\n%s", want, text)
		}
	}
}

// What cannot be read is left out, and everything else is there.
func TestAGaugeThatFails(t *testing.T) {
	m := New("g", "ac1", "v")
	m.Gauges("nodes", "x", "state", func(context.Context) (map[string]float64, error) { return nil, errors.New("no quorum") })
	m.Gauge("sessions", "y", func() float64 { return 3 })
	text, err := m.Text()
	if err != nil || !strings.Contains(string(text), "g8os_ac_sessions 3\n") || strings.Contains(string(text), "g8os_ac_nodes{") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestRows(t *testing.T) {
	rows := touched(t).Rows()
	if !slices.Contains(rows, "| `g8os_ac_store_seconds` | histogram | op, result |") {
		t.Errorf("rows are %q", rows)
	}
	form := regexp.MustCompile("^\\| `g8os_ac_[a-z_]+` \\| (counter|gauge|histogram) \\| [a-z, -]+ \\|$")
	for _, r := range rows {
		if !form.MatchString(r) {
			t.Errorf("%q is no row", r)
		}
	}
}
