package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/record"
	"github.com/g8os/g8os/lab/topology"
)

// A node that has said it is managed is believed: on a busy host it may have no
// time to say it again.
func TestManagedOnce(t *testing.T) {
	name := fmt.Sprintf("t%d-busy", os.Getpid())
	r := record.Of(name)
	if err := r.Create(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lab.Down(t.Context(), name, lab.DownOptions{}); err != nil {
			t.Error(err)
		}
	}()
	node := topology.Machine{Name: "n", Ports: []topology.Port{{NIC: "eth0", Segment: "a", MAC: "02:00:00:00:00:01"}}}
	if err := r.Save("lab.json", map[string]any{"plan": topology.Plan{Lab: name, Nodes: []topology.Machine{node}}}); err != nil {
		t.Fatal(err)
	}
	l, err := lab.Open(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer busyNode(t, l.Node("n").Socket())()
	rows := climb(t.Context(), l, io.Discard, time.Now())
	if len(rows) != 1 || rows[0].Phase != lab.PhaseManaged || rows[0].Address != "192.168.7.10/24" {
		t.Errorf("got %+v", rows)
	}
}

// busyNode tells who watches that it is managed, and answers nobody else.
func busyNode(t *testing.T, socket string) (stop func()) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") != "" {
			if err := json.NewEncoder(w).Encode(lab.Status{Phase: lab.PhaseManaged, Address: "192.168.7.10/24"}); err != nil {
				t.Error(err)
			}
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	})}
	go func() { _ = s.Serve(listener) }()
	return func() { _ = s.Close() }
}
