package find

import (
	"net/netip"
	"sync"
	"testing"
)

// A resolver asks for both families at once: the servers take turns all the
// same, and the race detector watches.
func TestNameServersTakeTurns(t *testing.T) {
	servers := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	r := Target{DNS: servers}.resolver()
	var asked sync.Map
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			conn, err := r.Dial(t.Context(), "udp", "ignored:53")
			if err != nil {
				t.Error(err)
				return
			}
			asked.Store(n, conn.RemoteAddr().String())
			_ = conn.Close()
		})
	}
	all.Wait()
	times := map[string]int{}
	asked.Range(func(_, server any) bool { times[server.(string)]++; return true })
	if times["127.0.0.1:53"] != 4 || times["127.0.0.2:53"] != 4 {
		t.Errorf("asked %v, want each of %v four times", times, servers)
	}
}
