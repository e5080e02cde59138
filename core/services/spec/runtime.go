package spec

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/docker/go-connections/nat"
)

const (
	defaultGuestMemory = 256 << 20
	minGuestMemory     = 1 << 20
	maxGuestCPUs       = 256
)

// runtime settles what a service is made of.
func (c *checker) runtime(s *Service, r raw) {
	s.Runtime = Runtime(strings.Replace(r.Runtime, "process", "", 1))
	if s.Runtime != Container {
		c.lacks("docker", `runtime = "docker"`)
	}
	if s.Runtime != Guest {
		c.lacks("kvm", `runtime = "kvm"`)
	}
	switch s.Runtime {
	case Process:
		s.Command = c.command(r.Command)
	case Container:
		if r.Command != nil {
			s.Command = c.command(r.Command)
		}
		s.Dir = r.Dir // else that of the image
		c.container(s, r.Docker)
	case Guest:
		c.lacks("command", "none: a virtual machine has kvm.kernel, or boots its first disk")
		c.guest(s, r.KVM)
	default:
		c.wrong("runtime", fmt.Sprintf("is %.40q", r.Runtime), `"process", "docker" or "kvm"`)
	}
	if s.Runtime != Process {
		for _, key := range []string{"namespaces", "private_tmp", "no_network"} {
			c.lacks(key, "none: it has its own")
		}
		if s.Ready.Notify {
			c.wrong("ready.notify", "does not go with the runtime", "alive_for, tcp, http or output: the socket is out of its reach")
		}
	}
}

// lacks demands that a key is not there.
func (c *checker) lacks(key, expect string) {
	for k := range c.sec.lines {
		if k == key || strings.HasPrefix(k, key+".") {
			c.wrong(k, "does not go with the runtime", expect)
		}
	}
}

func (c *checker) container(s *Service, d rawDocker) {
	s.Docker = Docker(d)
	s.Docker.Network = cmp.Or(d.Network, "host")
	if d.Image == "" || strings.ContainsAny(d.Image, " \t\n") {
		c.wrong("docker.image", fmt.Sprintf("%.80q is no image", d.Image), `one such as "redis:7"`)
	}
	for _, v := range d.Volumes {
		if part := strings.Split(v, ":"); len(part) < 2 || len(part) > 3 || !path.IsAbs(part[0]) || !path.IsAbs(part[1]) {
			c.wrong("docker.volumes", fmt.Sprintf("%.80q is no volume", v), `one such as "/state/db:/data" or "/etc/db:/etc/db:ro"`)
		}
	}
	if len(d.Ports) > 0 && s.Docker.Network == "host" {
		c.wrong("docker.ports", "stand beside the network of the machine", `none, or network = "bridge"`)
	}
	if _, _, err := nat.ParsePortSpecs(d.Ports); err != nil {
		c.wrong("docker.ports", err.Error(), `some such as "8080:80" or "127.0.0.1:5353:53/udp"`)
	}
}

func (c *checker) guest(s *Service, k rawKVM) {
	s.KVM = KVM{
		Disks: k.Disks, Kernel: k.Kernel, Initrd: k.Initrd, Append: k.Append, CPUs: cmp.Or(k.CPUs, 1),
		Memory: cmp.Or(int64(k.Memory), defaultGuestMemory), Accel: k.Accel, Args: k.Args,
	}
	for i, file := range append([]string{k.Kernel, k.Initrd}, k.Disks...) {
		if (i > 1 || file != "") && (!path.IsAbs(file) || strings.Contains(file, ",")) {
			c.wrong("kvm", fmt.Sprintf("%.80q is no file for it", file), "a full path without commas")
		}
	}
	switch {
	case k.Kernel == "" && len(k.Disks) == 0:
		c.wrong("kvm", "has nothing to boot", "disks, or a kernel")
	case k.Kernel == "" && k.Initrd+k.Append != "":
		c.wrong("kvm.kernel", "is missing", "one for initrd and append")
	case s.KVM.CPUs < 1 || s.KVM.CPUs > maxGuestCPUs:
		c.wrong("kvm.cpus", fmt.Sprintf("is %d", k.CPUs), fmt.Sprintf("1 to %d", maxGuestCPUs))
	case s.KVM.Memory < minGuestMemory:
		c.wrong("kvm.memory", "is too little", "1MiB or more")
	case k.Accel != "" && k.Accel != "kvm" && k.Accel != "tcg":
		c.wrong("kvm.accel", fmt.Sprintf("is %.40q", k.Accel), `"kvm" or "tcg"`)
	}
}
