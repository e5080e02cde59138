package server

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// What a node measured is at the AC while it has its session, in the list and
// on the page for Prometheus, and only what a machine can have.
func TestNodeMetrics(t *testing.T) {
	r := newRealRig(t, enrol.ModeOpen)
	n := newNode(r, 1)
	s := n.session(n.climb())
	s.heartbeat(1, "managed")
	s.send(api.Frame{Type: api.FrameMetrics, Metrics: &api.Metrics{
		CPU: 7, MemUsed: -5, MemTotal: math.MaxInt64, Load1: 1e300, NetInRate: -1, Jobs: math.MaxInt, Services: math.MinInt,
	}})
	s.heartbeat(2, "managed") // what came before is taken
	viewer := r.operator("viewer.vic")
	list, err := viewer.NodeMetrics(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].Node != n.id || list[0].AC != "ac1" || list[0].Time.IsZero() {
		t.Fatalf("%+v", list)
	}
	m := list[0].Metrics
	if m.CPU != 1 || m.MemUsed != 0 || m.MemTotal > 1<<60 || m.Load1 > 1e6 || m.NetInRate != 0 || m.Jobs > 1<<32 || m.Services != 0 {
		t.Errorf("figures that no machine has: %+v", m)
	}
	text, err := viewer.Metrics(t.Context())
	must(t, err)
	for _, want := range []string{
		`g8os_ac_node_cpu_ratio{node="` + string(n.id) + `"} 1`,
		`g8os_ac_frames_total{type="metrics"} 1`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
}

// A number that JSON has and Go has not ends the session, and nothing else.
func TestMetricsThatAreNoNumbers(t *testing.T) {
	r := newRealRig(t, enrol.ModeOpen)
	n := newNode(r, 1)
	cert := n.climb()
	for _, number := range []string{"1e999", "NaN", `"7"`} {
		s := n.session(cert)
		must(t, s.conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"metrics","metrics":{"cpu":`+number+`}}`)))
		if f, err := s.read(); err == nil {
			t.Errorf("cpu %s: answered with %+v", number, f)
		}
	}
	list, err := r.operator("viewer.vic").NodeMetrics(t.Context())
	if err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// A viewer gets what changes nothing, and runs nothing.
func TestBuiltinsByRole(t *testing.T) {
	r := newRealRig(t, enrol.ModeOpen)
	n := newNode(r, 1)
	s := n.session(n.climb())
	s.heartbeat(1, "managed")
	go func() {
		for {
			f, err := s.read()
			if err != nil {
				return
			}
			if f.Type == api.FrameExec {
				answer, _ := json.Marshal(api.Facts{Hostname: string(f.Exec.Builtin)})
				s.send(said(f.Job, 1, string(answer)+"\n"))
				s.send(api.Frame{Type: api.FrameExit, Job: f.Job, Seq: 2})
			}
		}
	}()
	viewer := r.operator("viewer.vic")
	facts, err := viewer.Facts(t.Context(), string(n.id))
	if err != nil || facts.Hostname != "facts" {
		t.Errorf("facts: %+v, %v", facts, err)
	}
	for what, req := range map[string]api.ExecRequest{
		"a command":               {Argv: []string{"true"}},
		"a builtin that changes":  {Builtin: api.BuiltinReboot},
		"one that nobody has yet": {Builtin: "nothing"},
	} {
		_, err := viewer.Exec(t.Context(), string(n.id), req, client.ExecOptions{})
		if f, is := err.(*client.Failure); !is || f.Status != http.StatusForbidden {
			t.Errorf("%s by a viewer: %v", what, err)
		}
	}
}
