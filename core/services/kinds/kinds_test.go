package kinds

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/g8os/g8os/core/services/docker"
	"github.com/g8os/g8os/core/services/kvm"
	"github.com/g8os/g8os/core/services/program"
	"github.com/g8os/g8os/core/services/spec"
)

// engine answers as a dockerd does that has a container for each service.
type engine struct {
	mu       sync.Mutex
	services []string
	asked    []string // what changes something
}

func serve(t *testing.T, services ...string) (e *engine, socket string) {
	t.Helper()
	e, socket = &engine{services: services}, filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: e}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return e, socket
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	e.mu.Lock()
	defer e.mu.Unlock()
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // below the version
	switch {
	case path == "containers/json":
		list := []map[string]any{}
		for _, s := range e.services {
			list = append(list, map[string]any{"Id": "of-" + s, "Labels": map[string]string{"io.g8os.service": s}})
		}
		_ = json.NewEncoder(w).Encode(list)
	case r.Method == http.MethodGet, r.Method == http.MethodHead: // ping
	default:
		e.asked = append(e.asked, r.Method+" "+path)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (e *engine) did() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.asked)
}

func parsed(t *testing.T, name, keys string) spec.Service {
	t.Helper()
	f := spec.Parse("x.toml", []byte("[service."+name+"]\n"+keys))
	if len(f.Problems) > 0 {
		t.Fatal(f.Problems)
	}
	return f.Services[0]
}

const container = "runtime = \"docker\"\ndocker = { image = \"a\" }\n"

func TestEachKindHasItsRuntime(t *testing.T) {
	k := New(program.Where{RunDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, filepath.Join(t.TempDir(), "none.sock"))
	defer k.Leave()
	if r, ok := k.New(parsed(t, "x", "command = \"true\"\n")).(*program.Program); !ok {
		t.Errorf("a program: %T", r)
	}
	if r, ok := k.New(parsed(t, "x", container)).(*docker.Container); !ok {
		t.Errorf("a container: %T", r)
	}
	if r, ok := k.New(parsed(t, "x", "runtime = \"kvm\"\nkvm = { disks = [\"/x.raw\"] }\n")).(*kvm.Machine); !ok {
		t.Errorf("a virtual machine: %T", r)
	}
}

// Containers that nobody declares end; those of a service, and of one whose
// declaration cannot be read, go on.
func TestContainersThatNobodyDeclaresEnd(t *testing.T) {
	for want, left := range map[string]func(k *Kinds){
		"POST containers/of-old/stop, DELETE containers/of-old": func(k *Kinds) {
			k.Prune([]spec.Service{parsed(t, "db", container), parsed(t, "old", "command = \"true\"\n")}, []string{"broken"})
		},
		"POST containers/of-db/stop, DELETE containers/of-db, POST containers/of-broken/stop, DELETE containers/of-broken, POST containers/of-old/stop, DELETE containers/of-old": func(k *Kinds) {
			k.Prune(nil, nil)
		},
	} {
		e, socket := serve(t, "db", "broken", "old")
		k := New(program.Where{RunDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, socket)
		left(k)
		k.Settle()
		if got := strings.Join(e.did(), ", "); got != want {
			t.Errorf("done: %s; want %s", got, want)
		}
	}
}

// Where there is no dockerd, nobody waits for one.
func TestWithoutADockerd(t *testing.T) {
	k := New(program.Where{RunDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, filepath.Join(t.TempDir(), "none.sock"))
	k.Prune(nil, nil)
	k.Settle()
}
