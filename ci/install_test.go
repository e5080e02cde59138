// Package ci_test proves the scripts that a bare machine meets first.
package ci_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// aptGet stands in for apt-get: it notes what it was asked and whether a
// service could start meanwhile, and "installs" tcpdump.
const aptGet = `#!/bin/sh
echo "apt-get $*" >>"$JOURNAL"
[ -z "${APT_FAILS-}" ] || { echo "E: Could not resolve deb.debian.org"; exit 100; }
case "$*" in *install*)
	/usr/sbin/policy-rc.d; echo "policy $?" >>"$JOURNAL"
	printf '#!/bin/sh\n' >/usr/bin/tcpdump; chmod 755 /usr/bin/tcpdump
	[ -z "${APT_KILLED-}" ] || kill -9 $PPID
esac
`

// machine runs commands on a copy-on-write view of this machine's /usr, in a
// mount namespace of their own, where tcpdump is not installed.
type machine struct {
	t       *testing.T
	journal string
	env     []string
}

func (m *machine) run(script string) (string, error) {
	m.t.Helper()
	dir := m.t.TempDir()
	write(m.t, filepath.Join(dir, "apt-get"), aptGet)
	layers := `set -eu
mount -t tmpfs layers "$LAYERS"
for d in bin sbin; do
	mkdir -p "$LAYERS/$d/up" "$LAYERS/$d/work"
	mount -t overlay overlay -o "lowerdir=/usr/$d,upperdir=$LAYERS/$d/up,workdir=$LAYERS/$d/work" /usr/$d
done
mount -t tmpfs run /run
rm -f /usr/bin/tcpdump /usr/sbin/tcpdump /usr/sbin/policy-rc.d
cp "$LAYERS.apt" /usr/bin/apt-get
cp "$LAYERS.quiet" /usr/bin/deb-systemd-helper
cp "$LAYERS.quiet" /usr/sbin/update-rc.d
` + script
	mountpoint := filepath.Join(dir, "layers")
	if err := os.Mkdir(mountpoint, 0o755); err != nil {
		m.t.Fatal(err)
	}
	write(m.t, mountpoint+".apt", aptGet)
	write(m.t, mountpoint+".quiet", "#!/bin/sh\necho \"${0##*/} $*\" >>\"$JOURNAL\"\n")
	cmd := exec.Command("sh", "-c", layers)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Env = append(os.Environ(), "LAYERS="+mountpoint, "JOURNAL="+m.journal)
	cmd.Env = append(cmd.Env, m.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func newMachine(t *testing.T, env ...string) *machine {
	return &machine{t: t, journal: filepath.Join(t.TempDir(), "journal"), env: env}
}

func (m *machine) demand(file, want string) {
	m.t.Helper()
	got, _ := os.ReadFile(file)
	if string(got) != want {
		m.t.Errorf("journal:\n%s\nwant:\n%s", got, want)
	}
}

func TestInstallBringsWhatIsMissingAndStartsNothing(t *testing.T) {
	m := newMachine(t)
	out, err := m.run("./install run; test ! -e /usr/sbin/policy-rc.d; ./install run")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Count(out, "missing: tcpdump") != 1 {
		t.Errorf("want it to say once what is missing, got:\n%s", out)
	}
	m.demand(m.journal, `apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 update
apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 install -y --no-install-recommends tcpdump
policy 101
`)
}

func TestInstallPutsTheMachinesOwnPolicyBack(t *testing.T) {
	const own = "printf '#!/bin/sh\\nexit 42\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; "
	const still = "; code=0; /usr/sbin/policy-rc.d || code=$?; test $code = 42; test ! -e /usr/sbin/policy-rc.d.g8os-saved"
	for name, script := range map[string]string{
		"after an install":  own + "./install run" + still,
		"after a failure":   own + "export APT_FAILS=1; ! ./install run" + still,
		"after its killing": own + "APT_KILLED=1 ./install run || rm /usr/bin/tcpdump; ./install run" + still,
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := newMachine(t).run(script); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

func TestInstallSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"no mode":       {"! ./install", "say what for: ./install [--check] run|vm|test|image|e2e"},
		"only checking": {"! ./install --check run", "missing: tcpdump; remedy: ./install run"},
		"no network":    {"export APT_FAILS=1; ! ./install run", "could not install: tcpdump; is the package mirror"},
		"not root":      {"! setpriv --reuid 65534 --clear-groups ./install run", "needs root: sudo ./install run"},
		"not a Debian":  {"rm /usr/bin/apt-get; ! ./install run", "not a Debian"},
		"no Go":         {"touch /usr/bin/tcpdump; chmod 755 /usr/bin/tcpdump; PATH=/usr/bin:/bin; ! ./install run", "go is not installed: install Go 1.26"},
		"an old Go":     {"cp $LAYERS.apt /usr/bin/tcpdump; mkdir /run/go; printf '#!/bin/sh\necho go1.19.8' >/run/go/go; chmod 755 /run/go/go; PATH=/run/go:$PATH; ! ./install run", "is go1.19.8, g8os needs go1.26"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := newMachine(t).run(c.script)
			if err != nil || !strings.Contains(out, c.want) {
				t.Errorf("err %v, want %q in:\n%s", err, c.want, out)
			}
		})
	}
}
