package registry

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// A node that has gone to another AC is that one's, also while its old session
// is still open here; it is online as long as that AC is there.
func TestNodeWithAnotherAC(t *testing.T) {
	const id = api.NodeID("020000000001")
	now, there := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC), true
	b := newBook(func(api.NodeID) {})
	b.own, b.alive = "ac1", func(name string) bool { return name == "ac2" && there }
	apply := func(key string, v any, modified int64) {
		t.Helper()
		value, err := json.Marshal(v)
		if err == nil {
			err = b.apply(store.KV{Key: key, Value: value, Modified: modified})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	phase := func(what, want, at string) {
		t.Helper()
		if n := b.viewOne(id); n.Phase != want || n.AC != at {
			t.Errorf("%s: phase %q with AC %q, want %q with %q", what, n.Phase, n.AC, want, at)
		}
	}
	managedAt := api.Whereabouts{Phase: managed}
	apply(keyRecord+string(id), enrol.Record{ID: id, State: api.NodeEnrolled}, 1)
	b.seen(id, managedAt, true, now)
	phase("it has a session here", "managed", "ac1")
	apply(keySeen+string(id), presence{Where: managedAt, Seen: now.Add(-time.Second), At: "ac2"}, 2)
	phase("old news of another AC", "managed", "ac1")
	apply(keySeen+string(id), presence{Where: managedAt, Seen: now.Add(time.Second), At: "ac2"}, 3)
	phase("it has gone to another AC", "managed", "ac2")
	if !b.elsewhere(id) {
		t.Error("the end of its old session would be taken for its own")
	}
	there = false
	phase("that AC is gone", "offline", "ac2")
	b.seen(id, managedAt, true, now.Add(2*time.Second))
	phase("it came back", "managed", "ac1")
	apply(keySeen+string(id), presence{Where: managedAt, Seen: now.Add(3 * time.Second)}, 4)
	phase("the AC that it left noticed late", "managed", "ac1")
	if ops := b.toWriteBack(false); len(ops) != 1 {
		t.Errorf("%d writes, want one that says where it is", len(ops))
	}
}
