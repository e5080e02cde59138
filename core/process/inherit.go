package process

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// Inherited lists the children that this process had before it became this
// program: execve(2) keeps them, and who was started by package os/exec is
// not among them if it is called first.
func Inherited() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Reap buries inherited children as they end, until all have or ctx ends.
// Nobody else waits for them: those that are adopted are watched by a pidfd.
func Reap(ctx context.Context, pids []int) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for len(pids) > 0 {
		var left []int
		for _, pid := range pids {
			if got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); err == nil && got == 0 {
				left = append(left, pid)
			}
		}
		if pids = left; len(pids) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ended:
		}
	}
}
