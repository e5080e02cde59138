package upgrade

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/upgrade/trial"
)

// The built-in g8os_core of these tests is this test once more, told so by a
// variable; what it is upgraded to are scripts, and copies of it.
const (
	coreVar   = "UPGRADE_TEST_DIR"    // it is one, of this folder
	trySumVar = "UPGRADE_TEST_TRY"    // a binary that it tries, once
	withinVar = "UPGRADE_TEST_WITHIN" // the time that its guard gives it
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(coreVar); dir != "" {
		core(dir)
		return
	}
	os.Exit(m.Run())
}

// core says what it is, and which of the two.
func core(dir string) {
	s, log := storeIn(dir), slog.New(slog.NewTextHandler(os.Stderr, nil))
	if len(os.Args) > 2 && os.Args[1] == GuardCommand {
		var c Charge
		err := json.Unmarshal([]byte(os.Args[2]), &c)
		if err == nil {
			err = c.Guard(context.Background(), log)
		}
		fmt.Println("the guard leaves", err)
		return
	}
	s.Stage(log)
	r, _ := s.Read()
	path, _ := BuiltInPath()
	fmt.Printf("%s %v, pid %d, built-in %s\n", map[bool]string{true: "kept", false: "built-in"}[Staged()], os.Args[1:], os.Getpid(), filepath.Base(path))
	switch try := os.Getenv(trySumVar); {
	case Staged() && r.Trial != nil: // it does not prove itself, and says so
		fmt.Println(s.RollBack(r.Trial.ID, "it gave up"), Restart())
	case try != "" && r.Last == nil:
		within, _ := time.ParseDuration(os.Getenv(withinVar))
		err := s.Begin(try, trial.Build{Version: "new"}, Self(), trial.Trial{ID: "u1", Within: within})
		if err == nil {
			err = StartGuard(Charge{Store: s, ID: "u1", Within: within, Socket: filepath.Join(dir, "socket"), Path: path})
		}
		fmt.Println("not tried:", err, Restart())
	}
}

func storeIn(dir string) Store {
	return Store{Dir: filepath.Join(dir, "core"), RunDir: filepath.Join(dir, "run")}
}

// kept is a node's folder, with what it keeps.
type kept struct {
	t   *testing.T
	dir string
	Store
}

func keep(t *testing.T) *kept {
	k := &kept{t: t, dir: t.TempDir()}
	k.Store = storeIn(k.dir)
	k.must(os.Mkdir(k.Dir, 0o755))
	k.must(os.Mkdir(k.RunDir, 0o755))
	return k
}

func (k *kept) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// file keeps a binary, under its name.
func (k *kept) file(content string) (sum string) {
	k.t.Helper()
	h := sha256.Sum256([]byte(content))
	sum = hex.EncodeToString(h[:])
	k.must(os.WriteFile(k.Path(sum), []byte(content), 0o755))
	return sum
}

// script keeps a binary that says its name, arguments and pid.
func (k *kept) script(name string) string {
	return k.file("#!/bin/sh\necho " + name + " [$*], pid $$, built-in ${G8OS_CORE_BUILTIN##*/}\n")
}

// copy keeps a whole copy of the built-in one.
func (k *kept) copy() string {
	k.t.Helper()
	text, err := os.ReadFile("/proc/self/exe")
	k.must(err)
	return k.file(string(text) + "kept") // the loader does not mind
}

// proved has a binary run and prove itself.
func (k *kept) proved(sum string) {
	k.t.Helper()
	k.must(k.Begin(sum, trial.Build{Version: "kept"}, Self(), trial.Trial{ID: "of " + sum}))
	k.must(k.Prove("of " + sum))
}

// command is g8os_core, the built-in one.
func (k *kept) command(env ...string) (*exec.Cmd, *strings.Builder) {
	k.t.Helper()
	self, err := os.Executable()
	k.must(err)
	cmd := exec.CommandContext(k.t.Context(), self, "run", "--flag")
	cmd.Args[0] = "g8os_core"
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(append(os.Environ(), coreVar+"="+k.dir, "GORACE=atexit_sleep_ms=0"), env...) // else 1 s each
	return cmd, &out
}

// run has g8os_core run to its end, with the guards that it leaves, and returns
// what they said. PID stands for the one that it was started with.
func (k *kept) run(env ...string) string {
	k.t.Helper()
	cmd, out := k.command(env...)
	k.must(cmd.Start())
	_ = cmd.Wait() // a binary on trial may end as it likes; Wait also waits for guards, which have our pipe
	return strings.ReplaceAll(out.String(), fmt.Sprintf("pid %d,", cmd.Process.Pid), "pid PID,")
}
