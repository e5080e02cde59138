package run

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/g8os/g8os/core/api"
)

// program is what a request comes to.
type program struct {
	argv  []string // the first is a path
	env   []string
	dir   string
	stdin []byte
	who   account
}

// text is the program as the shim reads it.
func (g program) text() []byte {
	var b bytes.Buffer
	if len(g.stdin) > 0 {
		fmt.Fprintf(&b, "exec <%s\n", stdinFile)
	}
	fmt.Fprintf(&b, "g8os_p=no\ncd -P %s 2>&9 && {\n", quoted(g.dir))
	argv := g.argv
	var odd []string // names that a shell has no variables for, or that are its own
	for _, e := range g.env {
		name, value, _ := strings.Cut(e, "=")
		if !plainName.MatchString(name) || slices.Contains(shellsOwn, name) || strings.HasPrefix(name, "g8os_") {
			odd = append(odd, e)
			continue
		}
		fmt.Fprintf(&b, "export %s=%s\n", name, quoted(value))
	}
	if len(odd) > 0 {
		argv = slices.Concat([]string{"/usr/bin/env", "--"}, odd, argv)
	}
	b.WriteString("set --")
	for _, a := range argv {
		b.WriteString(" " + quoted(a))
	}
	b.WriteString("\ng8os_p=ok\n}\n")
	return b.Bytes()
}

var (
	plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// shellsOwn are variables that some shell does not let itself be given, or
	// that change how it reads.
	shellsOwn = []string{"BASHOPTS", "BASH_VERSINFO", "EUID", "IFS", "LINENO", "OPTIND", "PPID", "PS4", "SHELLOPTS", "TMOUT", "UID"}
)

// quoted is text as a shell's word (POSIX, 2.2.2).
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// program makes a request a program. A script is in the job's folder then.
func (r *Runner) program(p *Process, req api.ExecRequest, who account) (g program, err error) {
	if len(req.Argv) == 0 && len(req.Script) == 0 {
		return g, refuse(CodeNotRunnable, "the command is empty")
	}
	g = program{who: who, stdin: req.Stdin, env: r.environment(p.ID, req.Env, who), dir: cmp.Or(req.Dir, "/")}
	if st, err := os.Stat(g.dir); err != nil || !st.IsDir() { // else the program would be blamed
		return g, refuse(CodeNotRunnable, "run %q in %s: there is no such folder", first(req), g.dir)
	}
	argv := req.Argv
	if len(req.Script) > 0 {
		if argv, err = p.script(req, g.who); err != nil {
			return g, err
		}
	}
	path, err := find(argv[0], g.dir, g.env)
	if err != nil {
		return g, err
	}
	g.argv = append([]string{path}, argv[1:]...)
	for _, text := range slices.Concat(g.argv, g.env) {
		if strings.Contains(text, "\x00") {
			return g, refuse(CodeNotRunnable, "run %q: a zero byte in its arguments or variables", first(req))
		}
	}
	return g, nil
}
