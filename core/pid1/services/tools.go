package services

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Where Debian's programs expect each other.
const (
	ovsRun    = "/run/openvswitch"
	ovsSocket = ovsRun + "/db.sock"
	ovsPID    = ovsRun + "/ovs-vswitchd.pid"
	ovsDB     = "/etc/openvswitch/conf.db"
	ovsSchema = "/usr/share/openvswitch/vswitch.ovsschema"

	dockerData   = "/var/lib/docker"
	dockerSocket = "/run/docker.sock"
)

// Tools are the services of the tools layer.
//
// The database of Open vSwitch is made anew on every boot: what bridges there
// are, net.toml says. docker runs its containerd itself, so that the two are
// started and ended as one; without systemd, cgroups are made by cgroupfs.
func Tools() []Service {
	return []Service{
		{
			Name: "ovsdb-server", Path: "/usr/sbin/ovsdb-server", Prepare: prepareOVSDB, Ready: answers(ovsSocket),
			Args:  []string{ovsDB, "--remote=punix:" + ovsSocket, "--remote=db:Open_vSwitch,Open_vSwitch,manager_options", "--pidfile=" + ovsRun + "/ovsdb-server.pid", "-vsyslog:off"},
			Limit: 30 * time.Second, Grace: 3 * time.Second,
		},
		{
			Name: "ovs-vswitchd", After: []string{"ovsdb-server"}, Path: "/usr/sbin/ovs-vswitchd", Prepare: prepareSwitch, Ready: switchAnswers,
			Args:  []string{"unix:" + ovsSocket, "--pidfile=" + ovsPID, "-vsyslog:off"},
			Limit: 30 * time.Second, Grace: 5 * time.Second,
		},
		{
			Name: "dockerd", Path: "/usr/sbin/dockerd", Prepare: prepareDocker, Ready: dockerAnswers,
			Args:  []string{"--data-root=" + dockerData, "--host=unix://" + dockerSocket, "--exec-opt=native.cgroupdriver=cgroupfs", "--storage-driver=overlay2"},
			Limit: 5 * time.Minute, Grace: 15 * time.Second,
		},
	}
}

// prepareOVSDB makes the database, and loads the kernel's switch where there is
// one: without it bridges use the userspace datapath.
func prepareOVSDB(ctx context.Context) error {
	_ = command(ctx, "modprobe", "openvswitch")
	for _, dir := range []string{ovsRun, filepath.Dir(ovsDB), "/var/log/openvswitch"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	_ = os.Remove(ovsSocket) // of one that was killed: it would answer nobody
	_, err := os.Stat(ovsDB)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return command(ctx, "ovsdb-tool", "create", ovsDB, ovsSchema)
}

func prepareSwitch(ctx context.Context) error {
	return command(ctx, "ovs-vsctl", "--timeout=10", "--no-wait", "init")
}

// prepareDocker gives docker a file system its overlays can be on: that of the
// state disk, else one in memory, for the root is an overlay itself.
func prepareDocker(ctx context.Context) error {
	for _, module := range []string{"overlay", "bridge", "br_netfilter", "veth"} {
		_ = command(ctx, "modprobe", module) // docker says what it lacks
	}
	// docker drops what is forwarded and not its own. A bridge of the node's own
	// is none of its business.
	for _, name := range []string{"iptables", "ip6tables", "arptables"} {
		_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+name, []byte("0\n"), 0o644)
	}
	// docker refuses to start a container when the kernel has AppArmor and the
	// layer has no program to load its profile with. What it does not see, it
	// does without.
	if _, err := lookPath("apparmor_parser"); err != nil {
		_ = unix.Unmount("/sys/kernel/security", 0)
	}
	if err := os.MkdirAll(dockerData, 0o710); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dockerData, &st); err != nil {
		return fmt.Errorf("%s: %w", dockerData, err)
	}
	if st.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return nil
	}
	if err := unix.Mount("docker", dockerData, "tmpfs", unix.MS_NODEV, "mode=710,size=50%"); err != nil {
		return fmt.Errorf("%s in memory: %w", dockerData, err)
	}
	return nil
}

// command runs a program to its end.
func command(ctx context.Context, name string, args ...string) error {
	path, err := lookPath(name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = Env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// lookPath looks where Env says; PID 1 may have no PATH of its own.
func lookPath(name string) (string, error) {
	for _, dir := range filepath.SplitList(strings.TrimPrefix(Env[0], "PATH=")) {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// answers tells whether somebody listens on a socket.
func answers(socket string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", socket)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// switchAnswers asks on the control socket, whose name has the pid in it.
func switchAnswers(ctx context.Context) error {
	raw, err := os.ReadFile(ovsPID)
	if err != nil {
		return err
	}
	return answers(fmt.Sprintf("%s/ovs-vswitchd.%s.ctl", ovsRun, strings.TrimSpace(string(raw))))(ctx)
}

// dockerAnswers asks for a reply: docker's socket is there long before docker.
func dockerAnswers(ctx context.Context) error {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", dockerSocket)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		return err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("docker answers %s", resp.Status)
	}
	return nil
}
