package etcd_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
)

const crashDir = "G8OS_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

// writeForEver counts up in the store, and says each number after it was
// acknowledged. Two keys are written together: a torn transaction would show.
func writeForEver(dir string) {
	s, err := etcd.Open(context.Background(), etcd.Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	n := 0
	if kv, err := s.Get(context.Background(), "n"); err == nil {
		n, _ = strconv.Atoi(string(kv.Value))
	}
	for {
		n++
		v := strconv.AppendInt(nil, int64(n), 10)
		_, err := s.Txn(context.Background(), store.Txn{Then: []store.Op{store.Put("n", v), store.Put("twin", v)}})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	const seed = 20261123
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	for round := range 5 {
		acknowledged := crash(t, dir, 1+random.IntN(400))
		s := open(t, dir)
		n, twin := number(t, s, "n"), number(t, s, "twin")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n < acknowledged || n != twin {
			t.Fatalf("round %d of seed %d: %d was acknowledged, the store has n=%d twin=%d", round, seed, acknowledged, n, twin)
		}
	}
}

// crash runs a writer, kills it after so many acknowledgements, and returns
// the last one.
func crash(t *testing.T, dir string, after int) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last, lines := 0, bufio.NewScanner(out)
	for seen := 0; lines.Scan(); seen++ {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			last = n
		}
		if seen == after {
			_ = cmd.Process.Kill() // and read on: what it said before it died counts
		}
	}
	_ = cmd.Wait()
	if last == 0 {
		t.Fatal("the writer acknowledged nothing")
	}
	return last
}

func number(t *testing.T, s store.Store, key string) int {
	t.Helper()
	kv, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(kv.Value))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
