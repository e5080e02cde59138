package channel

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/g8os/g8os/core/api"
)

// passwd says who there is (passwd(5)).
const passwd = "/etc/passwd"

// defaultPath is where programs are looked for if g8os_core has no PATH itself.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// account is whom a program runs as.
type account struct {
	name, home, shell string
	uid, gid          uint32
	groups            []uint32
}

// accountOf finds an account by name or number; "" is root, who is there also
// on a machine without accounts.
func accountOf(who string) (account, error) {
	if who == "" || who == "0" || who == "root" {
		a := account{name: "root", home: "/root", shell: shellOf("root")}
		return a, nil
	}
	u, err := user.Lookup(who)
	if err != nil {
		if _, bad := strconv.ParseUint(who, 10, 32); bad == nil {
			u, err = user.LookupId(who)
		}
	}
	if err != nil {
		return account{}, fmt.Errorf("user %q: there is none of that name or number: %w", who, err)
	}
	a := account{name: u.Username, home: u.HomeDir, shell: shellOf(u.Username)}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, fmt.Errorf("groups of user %q: %w", who, err)
	}
	for _, id := range append([]string{u.Uid, u.Gid}, ids...) {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("user %q: number %q: %w", who, id, err)
		}
		a.groups = append(a.groups, uint32(n))
	}
	a.uid, a.gid, a.groups = a.groups[0], a.groups[1], a.groups[2:]
	return a, nil
}

// shellOf is the login shell of a user, the seventh field of passwd.
func shellOf(name string) string {
	const otherwise = "/bin/sh"
	f, err := os.Open(passwd)
	if err != nil {
		return otherwise
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		field := strings.Split(lines.Text(), ":")
		if len(field) == 7 && field[0] == name && field[6] != "" {
			return field[6]
		}
	}
	return otherwise
}

// credential is nil for whom g8os_core runs as itself.
func (a account) credential() *syscall.Credential {
	if int(a.uid) == os.Geteuid() {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}
}

// command is what is run: argv, or the login shell.
func (a account) command(argv []string) (*exec.Cmd, error) {
	var cmd *exec.Cmd
	if len(argv) == 0 {
		cmd = exec.Command(a.shell)
		cmd.Args[0] = "-" + filepath.Base(a.shell)
	} else {
		cmd = exec.Command(argv[0], argv[1:]...)
	}
	if cmd.Err != nil {
		return nil, cmd.Err
	}
	cmd.Dir = "/"
	if st, err := os.Stat(a.home); err == nil && st.IsDir() {
		cmd.Dir = a.home
	}
	return cmd, nil
}

func (a account) environment(open api.ChannelOpen) []string {
	path := os.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	env := []string{"PATH=" + path, "HOME=" + a.home, "USER=" + a.name, "LOGNAME=" + a.name, "SHELL=" + a.shell, "LANG=C.UTF-8"}
	if open.Term != "" {
		env = append(env, "TERM="+open.Term)
	}
	names := make([]string, 0, len(open.Env))
	for name := range open.Env {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		env = append(env, name+"="+open.Env[name])
	}
	return env
}
