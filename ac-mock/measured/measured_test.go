package measured

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

func TestNewsOnly(t *testing.T) {
	now := time.Unix(1e9, 0)
	table := New(func() time.Time { return now })
	table.Take("b", api.Metrics{CPU: 0.5})
	now = now.Add(Keep - time.Second)
	table.Take("a", api.Metrics{CPU: math.NaN(), MemUsed: -1, NetIn: math.MaxInt64})
	list := table.List()
	if len(list) != 2 || list[0].Node != "a" || list[1].Metrics.CPU != 0.5 {
		t.Fatalf("%+v", list)
	}
	if m := list[0].Metrics; m.CPU != 0 || m.MemUsed != 0 || m.NetIn <= 0 || m.NetIn > 1<<60 {
		t.Errorf("figures that no machine has: %+v", m)
	}
	now = now.Add(time.Second)
	if list = table.List(); len(list) != 1 || list[0].Node != "a" {
		t.Errorf("after %s: %+v", Keep, list)
	}
}

// More nodes than are kept, and then again when the first have gone.
func TestBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	table := New(func() time.Time { return now })
	fill := func(kind string) {
		for i := range Most + 10 {
			table.Take(api.NodeID(fmt.Sprint(kind, i)), api.Metrics{})
		}
	}
	fill("first")
	fill("second")
	if list := table.List(); len(list) != Most || list[0].Node != "first0" {
		t.Fatalf("%d are kept, the first is %s", len(list), list[0].Node)
	}
	now = now.Add(Keep)
	fill("second")
	if list := table.List(); len(list) != Most || list[0].Node != "second0" {
		t.Fatalf("later %d are kept, the first is %s", len(list), list[0].Node)
	}
}
