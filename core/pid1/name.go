package pid1

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/pid1/cmdline"
	"github.com/g8os/g8os/core/pid1/state"
)

// Name is the rule for what a node is called: what "go" said, what the kernel
// argument says, what the medium brought, else something that its first network
// card makes its own. A name that is none does not count.
func Name(said, argument, file string, mac net.HardwareAddr) string {
	for _, name := range []string{said, argument, file} {
		if cmdline.Hostname(name) {
			return name
		}
	}
	if len(mac) < 3 {
		return "g8os"
	}
	return fmt.Sprintf("g8os-%x", []byte(mac[len(mac)-3:]))
}

// name sets the machine's name, if "go" did not.
func (m *Machine) name() {
	said := m.Facts().Hostname
	file := state.Hostname(configDir)
	if file != "" && !cmdline.Hostname(file) {
		m.notice(fmt.Sprintf("%s is no host name: %.80q", filepath.Join(configDir, "hostname"), file), nil)
	}
	var mac net.HardwareAddr
	if Name(said, m.Args.Hostname, file, nil) == "g8os" {
		mac = m.firstMAC()
	}
	m.say("host name", m.setName(Name(said, m.Args.Hostname, file, mac)))
}

func (m *Machine) setName(name string) error {
	m.set(func(f *Facts) { f.Hostname = name })
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("name the machine %s: %w", name, err)
	}
	return os.WriteFile("/etc/hostname", []byte(name+"\n"), 0o644)
}

// cardWait is how long a name waits for a network card whose driver starts.
const cardWait = 2 * time.Second

func (m *Machine) firstMAC() net.HardwareAddr {
	for end := time.Now().Add(cardWait); ; time.Sleep(20 * time.Millisecond) {
		if mac := firstMAC(interfaces()); mac != nil || time.Now().After(end) {
			return mac
		}
	}
}

func interfaces() []net.Interface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	return all
}

// firstMAC is that of the first card the kernel found.
func firstMAC(all []net.Interface) net.HardwareAddr {
	slices.SortFunc(all, func(a, b net.Interface) int { return a.Index - b.Index })
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && len(i.HardwareAddr) == 6 {
			return i.HardwareAddr
		}
	}
	return nil
}
