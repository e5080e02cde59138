package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheTable(t *testing.T) {
	rs := []result{
		bound{Name: "a", Limit: 20, Unit: "s"}.measured(5),
		bound{Name: "b", Limit: 0.8, AtLeast: true}.measured(0.4),
		bound{Name: "c", Limit: 2, Unit: "MiB"}.failed(fmt.Errorf("no binary")),
	}
	var out bytes.Buffer
	if err := printTable(&out, rs); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	want := "BOUND LIMIT MEASURED RATIO VERDICT a ≤ 20 s 5 s 0.25 holds b ≥ 0.8 0.4 0.50 MISSED c ≤ 2 MiB - - NOT MEASURED: no binary"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := verdict(rs); err == nil || err.Error() != "2 of 3 bounds do not hold" {
		t.Errorf("verdict: %v", err)
	}
	if err := verdict(rs[:1]); err != nil {
		t.Errorf("verdict of what holds: %v", err)
	}
}

func TestParseBenchmarks(t *testing.T) {
	got := parseBenchmarks(`goos: linux
BenchmarkIdle-2   	1	1000 ns/op	        41.50 KiB/node
BenchmarkIdle/x-2 	1	1000 ns/op	        48.00 KiB/node	  3 allocs/op
ok  	p	1.0s
`)
	if fmt.Sprint(got["KiB/node"]) != "[41.5 48]" || fmt.Sprint(got["ns/op"]) != "[1000 1000]" {
		t.Errorf("got %v", got)
	}
	most, least := bound{}, bound{AtLeast: true}
	if most.worst([]float64{1, 3, 2}) != 3 || least.worst([]float64{2, 1, 3}) != 1 {
		t.Error("the worst is not the worst")
	}
}

func TestParseUsage(t *testing.T) {
	u, err := parseUsage("12 (g8 (os) core) S 1 12 12 0 -1 4194560 900 0 0 0 25 17 0 0 20 0 9 0 1 2 3\nName:\tg8os_core\nVmRSS:\t   20480 kB\n")
	if err != nil || u.cpu != 420*time.Millisecond || u.rssMiB != 20 {
		t.Errorf("got %+v, %v", u, err)
	}
	for _, text := range []string{"", "12 (x) S 1", "12 (x) S 1 2 3 4 5 6 7 8 9 0 a b 0\nVmRSS: 1 kB", "12 (x) S 1 2 3 4 5 6 7 8 9 0 1 2 0\nName: x\n"} {
		if u, err := parseUsage(text); err == nil {
			t.Errorf("%q was read as %+v", text, u)
		}
	}
}

// A stand-in for g8lab, so that the frame itself is proved without a grid.
func TestASectionWithoutAGrid(t *testing.T) {
	bin := t.TempDir()
	journal := filepath.Join(bin, "journal")
	script := `#!/bin/sh
echo "$*" | sed 's/[^ ]*\.yaml/FILE/' >>` + journal + `
case "$1 $4" in
"up bench-office") ;;
"up bench-dead-dhcp") echo "node waits for an AC" >&2; exit 1 ;;
"status "*) echo '{"lab":"x","nodes":[{"name":"a","phase":"managed","way":"configured","managed_after_ms":900},{"name":"b","phase":"managed","way":"configured","managed_after_ms":1500}]}' ;;
esac
`
	if err := os.WriteFile(filepath.Join(bin, "g8lab"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := run(t.Context(), []string{"-only", "ways", "-bin", bin}, &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "1 of 2 bounds do not hold") {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"1.5 s", "0.75", "holds", "NOT MEASURED: g8lab up: exit status 1: node waits for an AC"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in:\n%s", want, out.String())
		}
	}
	calls, _ := os.ReadFile(journal)
	const want = `up FILE --lab bench-office --timeout 90s
status --lab bench-office -o json
down --lab bench-office
up FILE --lab bench-dead-dhcp --timeout 90s
down --lab bench-dead-dhcp
`
	if string(calls) != want {
		t.Errorf("g8lab was called:\n%s", calls)
	}
}

func TestUnmanaged(t *testing.T) {
	n, err := unmanaged([]byte(`[{"phase":"managed"},{"phase":"offline"},{"phase":"unlock"}]`))
	if err != nil || n != 2 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := unmanaged([]byte("g8os: no AC")); err == nil {
		t.Error("what is no JSON was counted")
	}
}

func TestSessionsOfControllers(t *testing.T) {
	acs := []controller{{"ac1", 3}, {"ac2", 5}, {"ac3", 2}}
	if total(acs, "") != 10 || total(acs, "ac2") != 5 || busiest(acs) != "ac2" || busiest(nil) != "" {
		t.Errorf("%d, %d, %q", total(acs, ""), total(acs, "ac2"), busiest(acs))
	}
}

func TestWrongSections(t *testing.T) {
	err := run(t.Context(), []string{"-only", "sizes"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), `no section "sizes"; there are size, ways, idle, impair, sim, hundred, rotate, failover, jobs, grid, ac, services, channel`) {
		t.Errorf("got %v", err)
	}
}

func TestKernelTime(t *testing.T) {
	const log = "[    0.000000] Linux version 6.1\n[   12.500000] Run /init as init process\n[   14.250000] g8os: node is=\"managed way=configured\"\n"
	for what, want := range map[string]float64{"Run /init": 12.5, `g8os: node is="managed`: 14.25} {
		if at, err := kernelTime(log, what); err != nil || at != want {
			t.Errorf("%s: at %g, %v; want %g", what, at, err, want)
		}
	}
	if _, err := kernelTime(log, "panic"); err == nil {
		t.Error("found what is not there")
	}
}

func TestProcField(t *testing.T) {
	if pid, err := procField("/proc/self/status", "Pid:"); err != nil || int(pid) != os.Getpid() {
		t.Errorf("Pid is %g, %v", pid, err)
	}
	if kib, err := procField("/proc/self/smaps_rollup", "Pss:"); err != nil || kib < 100 {
		t.Errorf("Pss is %g, %v", kib, err)
	}
	if _, err := procField("/proc/self/status", "Pss:"); err == nil {
		t.Error("found what is not there")
	}
}

func TestComplaint(t *testing.T) {
	for _, c := range []struct{ errs, out, want string }{
		{"n1: in phase unlock\ng8lab: 1 of 2 nodes are not managed\n", "a table\n", "n1: in phase unlock"},
		{"", "first\nlast\n", "last"},
	} {
		if got := complaint(c.errs, c.out); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestParsePing(t *testing.T) {
	ms, err := parsePing("--- 192.168.7.12 ping statistics ---\n3 packets transmitted\nrtt min/avg/max/mdev = 0.058/0.063/0.070/0.005 ms\n")
	if err != nil || ms != 0.063 {
		t.Errorf("got %v, %v", ms, err)
	}
	if _, err := parsePing("100% packet loss\n"); err == nil {
		t.Error("a round trip without an answer")
	}
}
