package lab

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/topology"
)

func now() time.Time { return time.Now() }

// isNode reports whether a machine of the plan is a node: it is neither an AC,
// nor a DHCP server, the switch, or a host.
func (l *Lab) isNode(name string) bool {
	_, err := l.FindNode(name)
	return err == nil
}

// spec works out what a machine's init is told.
func (l *Lab) spec(m topology.Machine) (machine.Spec, error) {
	s := machine.Spec{
		Lab: l.Name(), Name: m.Name, Hostname: strings.ReplaceAll(m.Name, ".", "-"),
		Control: l.machineDir(m.Name) + "/control", LogDir: l.LogDir(), IPv6: l.st.Plan.IPv6,
	}
	if isVM(m) { // QEMU sees the host's files, and no NIC
		if m.TPM {
			if err := os.MkdirAll(l.tpmDir(m.Name), 0o755); err != nil {
				return s, err
			}
		}
		s.Relay = &machine.Relay{Channel: l.vmDir(m.Name).Channel(), Core: l.Node(m.Name).Socket(), Exec: l.execSocket(m.Name)}
		return s, os.MkdirAll(filepath.Dir(s.Relay.Core), 0o755)
	}
	node := l.isNode(m.Name)
	for _, p := range m.Ports {
		nic := machine.NIC{Name: p.NIC, Up: !node}
		if !node && p.Address.IsValid() {
			nic.Addresses = []string{p.Address.String()}
		}
		s.NICs = append(s.NICs, nic)
	}
	if m.AC != nil {
		// Three legs share the fallback prefix: an answer may leave by another
		// leg than the one the kernel would ask by.
		s.Sysctls = map[string]string{"ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0"}
		s.Forwards = []string{fmt.Sprintf("127.0.0.1:%d", api.Port)}
	}
	if node {
		fs, err := l.nodeFS(m.Name, m.TPM)
		if err != nil {
			return s, err
		}
		s.Node = fs
	}
	return s, nil
}

// nodeFS empties a node's volatile directories, as a power cut does, and makes
// those that are missing.
func (l *Lab) nodeFS(name string, tpm bool) (*machine.NodeFS, error) {
	dir := l.machineDir(name)
	fs := &machine.NodeFS{
		Scratch: filepath.Join(dir, "scratch"), Run: filepath.Join(dir, "run"), VarLog: filepath.Join(dir, "log"),
		Disk: l.diskDir(name), Bin: l.st.BinDir,
	}
	for _, volatile := range []string{fs.Scratch, fs.Run} {
		if err := os.RemoveAll(volatile); err != nil {
			return nil, err
		}
	}
	dirs := []string{fs.Scratch, fs.Run, filepath.Join(fs.VarLog, "g8os"), fs.Disk}
	if tpm {
		fs.TPM = l.tpmDir(name)
		dirs = append(dirs, fs.TPM, filepath.Join(fs.Run, filepath.Base(machine.TPMDir)))
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	// sshd complains to whoever logs in when it cannot note that down.
	lastlog, err := os.OpenFile(filepath.Join(fs.VarLog, "lastlog"), os.O_CREATE|os.O_WRONLY, 0o664)
	if err != nil {
		return nil, err
	}
	return fs, lastlog.Close()
}

func (l *Lab) diskDir(node string) string { return filepath.Join(l.dataDir(node), "disk") }

// listeners opens an AC's port on the host's loopback: the one it had before,
// the one asked for, or a free one.
func (l *Lab) listeners(m topology.Machine) ([]*net.TCPListener, error) {
	if m.AC == nil {
		return nil, nil
	}
	want := l.Ports()[m.Name]
	if want == 0 && m.Name == l.st.Plan.ACs[0].Name {
		want = l.opt.Port
	}
	ln, err := listen(want)
	if err != nil {
		return nil, fmt.Errorf("AC %s: %w", m.Name, err)
	}
	err = l.change(func(st *state) { st.Forward[m.Name] = ln.Addr().(*net.TCPAddr).Port })
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	return []*net.TCPListener{ln}, nil
}

func listen(port int) (*net.TCPListener, error) {
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return nil, fmt.Errorf("port %d on 127.0.0.1 for the AC: %w; end what listens there (ss -ltnp), or choose another --port (none: a free one)", port, err)
	}
	return ln, nil
}

// checkPort refuses a port that cannot be had, as long as nothing is touched.
func checkPort(o Options) error {
	if o.Port == 0 {
		return nil
	}
	if o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("port %d: want 1 to 65535, or none for a free one", o.Port)
	}
	l, err := Open(o.Name, nil)
	if err == nil && len(l.ACs()) > 0 {
		switch has := l.Ports()[l.ACs()[0].Name()]; has {
		case 0: // it did not come that far
		case o.Port:
			return nil
		default:
			return fmt.Errorf("port %d: lab %s is up with port %d; take it down first, or leave --port out", o.Port, o.Name, has)
		}
	}
	ln, err := listen(o.Port)
	if err != nil {
		return err
	}
	return ln.Close()
}

// Binaries a lab is made of.
var binaries = []string{"g8os_core", "g8os_ac", "gocryptfs"}

// FindBinDir returns the directory with the binaries: the one given, that of
// $G8LAB_BIN, that of the running program, or bin/ in a directory above.
func FindBinDir(given string) (string, error) {
	var tried []string
	if given != "" {
		tried = []string{given}
	} else {
		tried = candidates()
	}
	for _, dir := range tried {
		abs, err := filepath.Abs(dir)
		if err == nil && hasAll(abs) {
			return abs, nil
		}
	}
	return "", fmt.Errorf("binaries %s: not found together in %s; make build makes them", strings.Join(binaries, ", "), strings.Join(tried, ", "))
}

func candidates() []string {
	var dirs []string
	if env := os.Getenv("G8LAB_BIN"); env != "" {
		return []string{env}
	}
	if exe, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Dir(exe))
	}
	wd, err := os.Getwd()
	for err == nil {
		dirs = append(dirs, filepath.Join(wd, "bin"))
		if wd == "/" {
			break
		}
		wd = filepath.Dir(wd)
	}
	return dirs
}

func hasAll(dir string) bool {
	for _, b := range binaries {
		if st, err := os.Stat(filepath.Join(dir, b)); err != nil || st.IsDir() || st.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
