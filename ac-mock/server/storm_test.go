package server

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// storm opens connections from a source that no operator came from, and says
// how many of them were reset.
func (r *rig) storm(connections int) (refused int) {
	r.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: time.Minute}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range connections {
		c, err := d.Dial("tcp", r.addr)
		if err != nil { // reset before this machine knew that it stands
			mu.Lock()
			refused++
			mu.Unlock()
			continue
		}
		r.Cleanup(func() { _ = c.Close() })
		wg.Go(func() {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			_, err := c.Read(make([]byte, 1))
			mu.Lock()
			defer mu.Unlock()
			if err != nil && !strings.Contains(err.Error(), "timeout") {
				refused++
			}
		})
	}
	wg.Wait()
	return refused
}

// A grid that returns at once is let in one after the other; who would wait for
// longer than he would want to is told so at once. Operators do not stand in
// line, once the AC knows where they come from.
func TestAStormIsSpread(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits = DefaultLimits; o.Limits.Turns, o.Limits.Turn = 4, 300*time.Millisecond })
	if _, err := r.operator("viewer.vic").Nodes(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if refused := r.storm(40); refused < 30 {
		t.Errorf("%d of 40 at once were refused, want nearly all", refused)
	}
	took := time.Now()
	for range 5 { // each one a new connection
		if _, err := r.operator("viewer.vic").Nodes(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(took); d > time.Second {
		t.Errorf("five connections of an operator took %s, as if they stood in line", d)
	}
	if d := time.Since(before); d > 10*time.Second {
		t.Errorf("it took %s to say no", d)
	}
	text, err := r.srv.opt.Metrics.Text()
	must(t, err)
	if !strings.Contains(string(text), `g8os_ac_connections_refused_total{reason="storm"}`) {
		t.Errorf("nothing is counted:\n%s", text)
	}
}

// Somebody whom the AC does not know yet gets his turn when the storm is over.
func TestAfterAStorm(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits = DefaultLimits; o.Limits.Turns, o.Limits.Turn = 20, 300*time.Millisecond })
	r.storm(40)
	eventually(t, "an honest node is served", func() bool {
		n := newNode(r, 1)
		defer n.close()
		_, err := n.hello()
		return err == nil
	})
}

// While as many requests wait for the book as may, the next one is told to come
// later, and when; it is a refusal of nobody.
func TestTooMuchToDecide(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits = DefaultLimits; o.Limits.Deciding = 1 })
	r.book.hold = make(chan struct{})
	first := newNode(r, 1)
	signed := first.sign(api.PurposeUnlock, first.nonce(), first.claim())
	answered := make(chan int, 1)
	go func() { answered <- first.post(api.PathUnlock, signed, nil) }()
	eventually(t, "the first is being decided", func() bool { return len(r.srv.deciding) == 1 })

	second := newNode(r, 2)
	text, err := json.Marshal(second.sign(api.PurposeUnlock, second.nonce(), second.claim()))
	must(t, err)
	res, err := second.http.Post(second.url(api.PathUnlock), "application/json", bytes.NewReader(text))
	must(t, err)
	defer res.Body.Close()
	after, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if res.StatusCode != http.StatusServiceUnavailable || err != nil || after < laterMin || after > laterMax {
		t.Errorf("the second: %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	<-r.book.hold
	if s := <-answered; s != http.StatusOK {
		t.Errorf("the first: %d", s)
	}
}

// Metrics are for operators, and for nobody else.
func TestMetrics(t *testing.T) {
	r := newRealRig(t, enrol.ModeOpen)
	n := newNode(r, 1)
	n.climb()
	text, err := r.operator("viewer.vic").Metrics(t.Context())
	must(t, err)
	for _, want := range []string{
		`g8os_ac_build_info{ac="ac1",grid="test.grid",version="test"} 1`,
		`g8os_ac_nodes{state="enrolled"} 1`,
		`g8os_ac_request_seconds_count{path="/node/unlock",status="200"} 1`,
		`g8os_ac_sessions 0`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
}

// What the server adds is documented as what metrics has by itself, and nothing
// is documented that is not there.
func TestMetricsAreDocumented(t *testing.T) {
	r := newRealRig(t, enrol.ModeOpen)
	table, err := os.ReadFile("../METRICS.md")
	must(t, err)
	n := newNode(r, 1)
	s := n.session(n.climb())
	s.send(api.Frame{Type: api.FrameMetrics, Metrics: &api.Metrics{}})
	s.heartbeat(1, "managed")
	s.conn.CloseNow()
	eventually(t, "the session has ended", func() bool { return r.srv.Sessions() == 0 })
	r.srv.opt.Metrics.Refused("storm")
	rows := r.srv.opt.Metrics.Rows()
	for _, row := range rows {
		if !strings.Contains(string(table), row) {
			t.Errorf("METRICS.md has no row that begins with %q", row)
		}
	}
	documented := strings.Count(string(table), "| `g8os_ac_")
	if storeOnly := 1; documented != len(rows)+storeOnly { // the rig's store is not counted: metrics.TestDocumented does
		t.Errorf("METRICS.md documents %d names, %d are exposed and the store's", documented, len(rows))
	}
}
