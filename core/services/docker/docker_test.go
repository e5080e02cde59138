package docker

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/g8os/g8os/core/services/runtime"
	"github.com/g8os/g8os/core/services/spec"
)

// Where tests find a dockerd: DOCKER_TEST_SOCKET, which has an image
// DOCKER_TEST_IMAGE with a /bin/sh. Without them what needs one is skipped.
var testSocket, testImage = os.Getenv("DOCKER_TEST_SOCKET"), os.Getenv("DOCKER_TEST_IMAGE")

func declared(t *testing.T, name, text string) spec.Service {
	t.Helper()
	f := spec.Parse("x.toml", []byte("[service."+name+"]\nruntime = \"docker\"\n"+strings.ReplaceAll(text, "IMAGE", testImage)))
	if len(f.Problems) > 0 {
		t.Fatal(f.Problems)
	}
	return f.Services[0]
}

// engine is one that is left at the end of the test.
func engine(t *testing.T, socket string) *Engine {
	t.Helper()
	e, err := Open(socket, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Leave)
	return e
}

// dockerd is the engine of this machine, without our containers in the end.
func dockerd(t *testing.T) *Engine {
	t.Helper()
	if testSocket == "" || testImage == "" {
		t.Skip("DOCKER_TEST_SOCKET and DOCKER_TEST_IMAGE say where a dockerd is")
	}
	t.Cleanup(func() {
		e := engine(t, testSocket)
		if err := e.Prune(context.Background(), nil); err != nil {
			t.Error(err)
		}
	})
	return engine(t, testSocket)
}

func TestPlan(t *testing.T) {
	s := declared(t, "db", `docker = { image = "db:1", volumes = ["/state/db:/data"], network = "bridge", ports = ["8080:80"] }
user = "70"
group = "71"
limits = { cpu = 1.5, memory = "64MiB", pids = 9, io = [{ device = "/dev/vda", read = "1MB" }] }
log = { size = "10KiB", keep = 0 }`)
	config, host, err := plan(s)
	if err != nil {
		t.Fatal(err)
	}
	if config.User != "70:71" || config.Labels[labelName] != "db" || len(config.Cmd) > 0 || config.WorkingDir != "" {
		t.Errorf("%+v", config)
	}
	r := host.Resources
	if r.NanoCPUs != 15e8 || r.Memory != 64<<20 || r.MemorySwap != r.Memory || *r.PidsLimit != 9 || r.BlkioDeviceReadBps[0].Rate != 1e6 {
		t.Errorf("%+v", r)
	}
	if host.PortBindings["80/tcp"][0].HostPort != "8080" || host.LogConfig.Config["max-size"] != "10240" || host.LogConfig.Config["max-file"] != "1" {
		t.Errorf("%+v", host)
	}
}

func TestWithoutADockerd(t *testing.T) {
	c := engine(t, t.TempDir()+"/none.sock").New(declared(t, "x", `docker = { image = "a" }`))
	if _, err := c.Start(t.Context()); err == nil || errors.Is(err, runtime.ErrUnmet) {
		t.Errorf("start: %v", err)
	}
	if _, err := c.Adopt(); err == nil || errors.Is(err, runtime.ErrNotRunning) {
		t.Errorf("adopt: %v", err)
	}
	if x := c.LastExit(); x.Known {
		t.Errorf("%+v", x)
	}
}

const sleeper = `command = "echo up; trap 'echo down; exit 5' TERM; while :; do /bin/busybox sleep 0.1; done"
docker = { image = "IMAGE", network = "none" }
ready = { output = "^up$" }
`

// TestLife has a real container run: it is ready, outlives who started it, is
// adopted, and ends when it is told to, with its own code.
func TestLife(t *testing.T) {
	e := dockerd(t)
	s := declared(t, "life", sleeper)
	first, err := e.New(s).Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Leave()

	e = dockerd(t)
	second, err := e.New(s).Adopt()
	if err != nil {
		t.Fatal(err)
	}
	if second.PID() != first.PID() || second.PID() == 0 {
		t.Errorf("adopted %d, it was %d", second.PID(), first.PID())
	}
	third, err := e.New(s).Start(t.Context()) // two of one must not be
	if err != nil || third.PID() != first.PID() {
		t.Errorf("started again: %v, %v", third, err)
	}
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	if x := second.Exit(); !x.Known || x.Code != 5 || !strings.Contains(x.Why, "it said: up; down") {
		t.Errorf("%+v", x)
	}
	if x := e.New(s).LastExit(); x.Code != 5 {
		t.Errorf("%+v", x)
	}
	var said []string
	err = e.New(s).Logs(t.Context(), 1, false, func(line []byte) error { said = append(said, string(line)); return nil })
	if err != nil || !slices.Equal(said, []string{"down"}) {
		t.Errorf("%q, %v", said, err)
	}
	if _, err := e.New(s).Adopt(); !errors.Is(err, runtime.ErrNotRunning) {
		t.Error(err)
	}
}

func TestEndsThatNobodyAskedFor(t *testing.T) {
	e := dockerd(t)
	i, err := e.New(declared(t, "brief", `command = "echo the disk is full; exit 3"
docker = { image = "IMAGE", network = "none" }`)).Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-i.Died():
	case <-time.After(time.Minute):
		t.Fatal("nobody has noticed its end")
	}
	if x := i.Exit(); !x.Known || x.Code != 3 || !strings.Contains(x.Why, "exit code 3: it said: the disk is full") {
		t.Errorf("%+v", x)
	}
}

func TestOthersContainersAreNotTouched(t *testing.T) {
	e := dockerd(t)
	s := declared(t, "taken", sleeper)
	made, err := e.client.ContainerCreate(t.Context(), &container.Config{Image: testImage, Cmd: []string{"/bin/sh"}}, nil, nil, nil, "g8os-taken")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.client.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{}); err != nil {
			t.Error(err)
		}
	}()
	if _, err := e.New(s).Start(t.Context()); !errors.Is(err, errForeign) {
		t.Error(err)
	}
	if err := e.Prune(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestAnImageThatIsNotToBeHad(t *testing.T) {
	e := dockerd(t)
	_, err := e.New(declared(t, "none", `docker = { image = "localhost:1/none:1" }`)).Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "pull image localhost:1/none:1: ") {
		t.Error(err)
	}
}

func TestLinesAreBounded(t *testing.T) {
	var got []int
	l := &lines{write: func(line []byte) error { got = append(got, len(line)); return nil }}
	if _, err := l.Write(make([]byte, maxLine+10)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("ab\r\nc\n\nd")); err != nil {
		t.Fatal(err)
	}
	if err := l.end(); err != nil || !slices.Equal(got, []int{maxLine + 10, 2, 1, 0, 1}) {
		t.Errorf("%v, %v", got, err)
	}
}
