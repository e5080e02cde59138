package command_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/g8os/g8os/lab/actor/command"
	"github.com/g8os/g8os/lab/actor/control"
	"github.com/g8os/g8os/lab/actor/internal/segment"
)

func TestMain(m *testing.M) { segment.Main(m) }

func run(ctx context.Context, line ...string) error {
	var grammar struct {
		Actor command.Actor `cmd:""`
	}
	parser, err := kong.New(&grammar, kong.Vars(command.Vars()))
	if err != nil {
		return err
	}
	k, err := parser.Parse(append([]string{"actor"}, line...))
	if err != nil {
		return err
	}
	k.BindTo(ctx, (*context.Context)(nil))
	return k.Run()
}

func TestActorsRunFromTheCommandLine(t *testing.T) {
	for kind, line := range map[string][]string{
		"squatter": {"squatter", "-i", "act0", "10.254.254.1-253", "--except", "10.254.254.9", "--mac", "02:00:00:00:00:01"},
		"stranger": {"stranger", "--listen", "172.20.0.1:8966", "--kind", "impostor"},
		"dhcp":     {"dhcp", "-i", "act0", "--server", "172.20.0.1/24", "--pool", "172.20.0.10-20", "--mode", "slow 2s", "--lease", "20s"},
		"portal":   {"portal", "-i", "act0", "--server", "172.20.0.1/24", "--pool", "172.20.0.10-20"},
	} {
		t.Run(kind, func(t *testing.T) {
			segment.New(t, "act0", "172.20.0.1/24")
			record := filepath.Join(t.TempDir(), "events.jsonl")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			go func() { // ends it once it is ready
				defer cancel()
				for ctx.Err() == nil && !ready(record) {
					time.Sleep(5 * time.Millisecond)
				}
			}()
			if err := run(ctx, append(line, "--record", record)...); err != nil {
				t.Errorf("%v ended with: %v", line, err)
			}
			if !ready(record) {
				t.Errorf("%v recorded no ready", line)
			}
		})
	}
}

func ready(record string) bool {
	events, _ := os.ReadFile(record)
	return strings.Contains(string(events), `"msg":"ready"`)
}

func TestTell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	socket, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- socket.Serve(ctx, func(words []string) error { told <- strings.Join(words, " "); return nil })
	}()
	if err := run(ctx, "tell", path, "slow", "5s"); err != nil || <-told != "slow 5s" {
		t.Errorf("tell: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWrongCommandLines(t *testing.T) {
	for want, line := range map[string]string{
		`mode "dance": want one of normal`: "dhcp --server 172.20.0.1/24 --pool 172.20.0.10-20 --mode dance",
		"--pool":                           "dhcp --server 172.20.0.1/24 --pool 172.20.0.10,172.20.0.12",
		`addresses "x"`:                    "squatter x",
		"--mac":                            "squatter 10.0.0.1 --mac x",
		"must be one of":                   "stranger --kind friend",
		"record the events":                "stranger --record /nonexistent/dir/file",
	} {
		if err := run(t.Context(), strings.Fields(line)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}
