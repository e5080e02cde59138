package ssh

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/g8os/g8os/core/durable"
)

// Names of the files in Options.Dir.
const (
	configFile = "sshd_config"
	keysFile   = "authorized_keys"
	hostKey    = "ssh_host_ed25519_key"
)

// separation is where sshd locks up the part that talks to strangers; Debian's
// sshd has the path built in.
const separation = "/run/sshd"

func (o Options) path(name string) string { return filepath.Join(o.Dir, name) }

// prepare sees that every file sshd needs is there and good.
func prepare(o Options, sshd string) error {
	for dir, mode := range map[string]fs.FileMode{o.Dir: 0o700, separation: 0o755} {
		if err := durable.MkdirAll(durable.OS, dir, mode); err != nil {
			return fmt.Errorf("prepare sshd: %w", err)
		}
	}
	if err := ensureHostKey(o); err != nil {
		return err
	}
	if _, err := os.Stat(o.path(keysFile)); errors.Is(err, fs.ErrNotExist) {
		if _, err := SetAuthorizedKeys(o.Dir, nil); err != nil {
			return err
		}
	}
	warnLocked(o)
	return ensureConfig(o, sshd)
}

// ensureHostKey makes a host key, also in place of a damaged one: clients will
// complain, but the operator gets in.
func ensureHostKey(o Options) error {
	path := o.path(hostKey)
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makeHostKey(path)
	case err != nil:
		return fmt.Errorf("read the host key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(raw)
	if err == nil {
		return errors.Join(os.Chmod(path, 0o600), shown(path, signer.PublicKey())) // sshd refuses one that others can read
	}
	if err := aside(o, path, err); err != nil {
		return err
	}
	return makeHostKey(path)
}

// makeHostKey makes a new key; the file with the private half comes last.
func makeHostKey(path string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make a host key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return fmt.Errorf("make a host key: %w", err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return fmt.Errorf("make a host key: %w", err)
	}
	if err := shown(path, key); err != nil {
		return err
	}
	return durable.Write(durable.OS, path, pem.EncodeToMemory(block), 0o600)
}

// shown writes the public half beside a key, unless it is there.
func shown(path string, key ssh.PublicKey) error {
	text := ssh.MarshalAuthorizedKey(key)
	if old, err := os.ReadFile(path + ".pub"); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return durable.Write(durable.OS, path+".pub", text, 0o644)
}

// ensureConfig keeps a configuration that sshd accepts.
func ensureConfig(o Options, sshd string) error {
	path := o.path(configFile)
	if isDefault(o) {
		return writeDefaults(o) // sshd need not be asked about what we wrote
	}
	if _, err := os.Stat(path); err == nil {
		out, err := exec.Command(sshd, "-t", "-f", path).CombinedOutput()
		if err == nil {
			return nil
		}
		if err := aside(o, path, fmt.Errorf("sshd does not accept it: %w: %s", err, bytes.TrimSpace(out))); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the configuration of sshd: %w", err)
	}
	return writeDefaults(o)
}

// isDefault tells whether the configuration is one made here, during a rotation
// of the host key or not.
func isDefault(o Options) bool {
	text, err := os.ReadFile(o.path(configFile))
	return err == nil && (string(text) == defaults(o, false) || string(text) == defaults(o, true))
}

// writeDefaults writes the configuration made here, if it is not there. The key
// to come is offered after the present one.
func writeDefaults(o Options) error {
	_, err := os.Stat(o.path(nextKey))
	want, path := defaults(o, err == nil), o.path(configFile)
	if text, err := os.ReadFile(path); err == nil && string(text) == want {
		return nil
	}
	return durable.Write(durable.OS, path, []byte(want), 0o600)
}

// aside moves a file that cannot be used to NAME.broken.
func aside(o Options, path string, why error) error {
	o.Log.Warn("file cannot be used, it is moved aside and made anew", "file", path, "moved_to", path+".broken", "error", why)
	return durable.Rename(durable.OS, path, path+".broken")
}

func defaults(o Options, next bool) string {
	keys := fmt.Sprintf("HostKey %q\n", o.path(hostKey))
	if next {
		keys += fmt.Sprintf("HostKey %q\n", o.path(nextKey))
	}
	return fmt.Sprintf(`# Made by g8os_core, which keeps your changes as long as sshd accepts them.
Port %d
AddressFamily any
%sAuthorizedKeysFile "%s"
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes yes
X11Forwarding no
UseDNS no
PrintMotd no
ClientAliveInterval 30
ClientAliveCountMax 4
LogLevel INFO
Subsystem sftp internal-sftp
`, o.Port, keys, o.path(keysFile))
}

// warnLocked tells of an account that sshd refuses even with a good key: "!"
// before the password in shadow(5) locks it, "*" does not.
func warnLocked(o Options) {
	raw, err := os.ReadFile("/etc/shadow")
	if err != nil {
		return // no shadow file, nothing locked in it
	}
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "root:!") {
			o.Log.Warn("the account root is locked, sshd will refuse every login: run usermod -p '*' root")
		}
	}
}

// SetAuthorizedKeys replaces authorized_keys in dir (/mnt/etc/ssh); sshd reads
// them at the next login. One bad line refuses all of them and changes nothing.
func SetAuthorizedKeys(dir string, lines []string) (changed bool, err error) {
	var b strings.Builder
	b.WriteString("# Written by g8os_core from the AC's settings; changes here do not last.\n")
	for i, line := range lines {
		if strings.ContainsAny(line, "\r\n\x00") {
			return false, fmt.Errorf("authorized key %d: has a line break in it", i+1)
		}
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
			return false, fmt.Errorf("authorized key %d: %w: want a line as in authorized_keys(5)", i+1, err)
		}
		b.WriteString(line + "\n")
	}
	path := filepath.Join(dir, keysFile)
	if old, err := os.ReadFile(path); err == nil && string(old) == b.String() {
		return false, nil
	}
	if err := durable.MkdirAll(durable.OS, dir, 0o700); err != nil {
		return false, fmt.Errorf("write authorized keys: %w", err)
	}
	return true, durable.Write(durable.OS, path, []byte(b.String()), 0o600)
}
