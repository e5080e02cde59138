// Package reap buries the processes that were orphaned onto PID 1, and no
// others.
//
// PID 1 starts children of its own, through os/exec in many places, and each of
// those wants its exit status. What tells the two apart needs no register: Go
// holds a pidfd on every child it started until it has waited for it, and an
// orphan has none.
//
// It promises that an orphan is gone soon after it died however signals
// coalesce, and that the status of a child of ours is never taken.
package reap

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// again is how soon to look again while a child of ours waits to be waited for.
const again = 100 * time.Millisecond

// slow is how often to look without any signal.
const slow = 30 * time.Second

// Run reaps until ctx ends.
func Run(ctx context.Context, log *slog.Logger) {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(children)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-children:
		case <-timer.C:
		}
		if Once(log) {
			timer.Reset(again)
		} else {
			timer.Reset(slow)
		}
	}
}

// Once reaps the orphans there are, and tells whether dead children of our own
// are still to be waited for by those who started them.
func Once(log *slog.Logger) (left bool) {
	for {
		pid := deadChild()
		if pid == 0 {
			return false
		}
		if !ours()[pid] {
			bury(pid, log)
			continue
		}
		for pid, held := range zombies() { // ours hides the others behind it
			if !held {
				bury(pid, log)
			}
		}
		return true
	}
}

func bury(pid int, log *slog.Logger) {
	var ws syscall.WaitStatus
	if got, err := syscall.Wait4(pid, &ws, syscall.WNOHANG, nil); err == nil && got == pid {
		log.Debug("orphan reaped", "pid", pid, "status", int(ws))
	}
}

// deadChild returns the pid of some child that has died, and leaves it there.
func deadChild() int {
	var info struct { // siginfo_t as waitid(2) fills it, on 64 bits
		signo, errno, code, _ int32
		pid                   int32
		_                     [27]int32
	}
	for {
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)),
			unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, 0, 0)
		if !errors.Is(errno, unix.EINTR) {
			return int(info.pid) // stays 0 when there is none
		}
	}
}

// zombies returns the dead children, and whether each is ours.
func zombies() map[int]bool {
	dead := map[int]bool{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && isZombieOf(pid, os.Getpid()) {
			dead[pid] = false
		}
	}
	for pid := range ours() { // after the list of the dead: who died later is not in it
		if _, ok := dead[pid]; ok {
			dead[pid] = true
		}
	}
	return dead
}

func isZombieOf(pid, parent int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	return len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(parent)
}

// ours returns the pids on which this process holds a pidfd.
func ours() map[int]bool {
	held := map[int]bool{}
	entries, _ := os.ReadDir("/proc/self/fdinfo")
	for _, e := range entries {
		f, err := os.Open("/proc/self/fdinfo/" + e.Name())
		if err != nil {
			continue
		}
		in := bufio.NewScanner(f)
		for in.Scan() {
			if v, ok := strings.CutPrefix(in.Text(), "Pid:"); ok {
				if pid, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
					held[pid] = true
				}
			}
		}
		f.Close()
	}
	return held
}
