package channel

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stop ends a program whose operator is gone, and waits for its end. HUP
// reaches its whole session, as when a terminal is unplugged. What ignores that
// is killed, unless it is in the background, for which nohup is meant.
func (p *program) stop() {
	session := p.cmd.Process.Pid
	front := p.foreground()
	for _, m := range members(session) {
		_ = syscall.Kill(m.pid, syscall.SIGHUP)
		_ = syscall.Kill(m.pid, syscall.SIGCONT)
	}
	_ = p.stdin.Close() // also the terminal, if there is one
	select {
	case <-p.gone:
	case <-time.After(hangup):
	}
	for _, m := range members(session) {
		if m.group == session || m.group == front {
			_ = syscall.Kill(m.pid, syscall.SIGKILL)
		}
	}
	<-p.gone
}

// member is a process of a session.
type member struct{ pid, group int }

// members are the processes of a session. Its number is taken as long as there
// are any.
func members(session int) []member {
	entries, _ := os.ReadDir("/proc")
	var found []member
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// proc_pid_stat(5): behind the name: state, parent, group, session.
		field := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		if len(field) < 4 || field[3] != strconv.Itoa(session) {
			continue
		}
		if group, err := strconv.Atoi(field[2]); err == nil {
			found = append(found, member{pid, group})
		}
	}
	return found
}

// foreground is the process group that the terminal belongs to; 0: none.
func (p *program) foreground() int {
	if p.tty == nil {
		return 0
	}
	raw, err := p.tty.SyscallConn()
	if err != nil {
		return 0
	}
	group := 0
	_ = raw.Control(func(fd uintptr) { group, _ = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	return group
}
