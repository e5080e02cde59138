package spec

import (
	"reflect"
	"strings"
	"testing"
)

func TestContainersAndGuests(t *testing.T) {
	f := Parse("x.toml", []byte(`[service.cache]
runtime = "docker"
docker = { image = "redis:7", volumes = ["/state/redis:/data"] }
[service.router]
runtime = "kvm"
kvm = { disks = ["/state/router.qcow2"], memory = "1GiB" }
[service.plain]
command = ["/bin/true"]
runtime = "process"
`))
	if len(f.Problems) > 0 {
		t.Fatal(f.Problems)
	}
	if s := f.Services[0]; s.Runtime != Container || s.Command != nil || s.Dir != "" || !reflect.DeepEqual(s.Docker, Docker{Image: "redis:7", Volumes: []string{"/state/redis:/data"}, Network: "host"}) {
		t.Errorf("%+v", s)
	}
	if s := f.Services[1]; s.Runtime != Guest || !reflect.DeepEqual(s.KVM, KVM{Disks: []string{"/state/router.qcow2"}, CPUs: 1, Memory: 1 << 30}) {
		t.Errorf("%+v", s)
	}
	if s := f.Services[2]; s.Runtime != Process || s.Dir != "/" {
		t.Errorf("%+v", s)
	}
}

func TestMistakesOfRuntimes(t *testing.T) {
	for _, tt := range []struct{ text, says string }{
		{`docker = { image = "a" }`, `x.toml:2: service.x.docker: does not go with the runtime; expected runtime = "docker"`},
		{"runtime = \"docker\"\ncommand = \"true\"", `x.toml:1: service.x.docker.image: "" is no image`},
		{"runtime = \"docker\"\ndocker = { image = \"a b\" }", `x.toml:3: service.x.docker.image: "a b" is no image`},
		{"runtime = \"docker\"\ndocker = { image = \"a\", volumes = [\"data:/data\"] }", `x.toml:3: service.x.docker.volumes: "data:/data" is no volume`},
		{"runtime = \"docker\"\ndocker = { image = \"a\", ports = [\"80:80\"] }", `x.toml:3: service.x.docker.ports: stand beside the network of the machine`},
		{"runtime = \"docker\"\ndocker = { image = \"a\", network = \"bridge\", ports = [\"x\"] }", `x.toml:3: service.x.docker.ports: invalid`},
		{"runtime = \"docker\"\ndocker = { image = \"a\" }\nprivate_tmp = true", `x.toml:4: service.x.private_tmp: does not go with the runtime`},
		{"runtime = \"docker\"\ndocker = { image = \"a\" }\nready = { notify = true }", `x.toml:4: service.x.ready.notify: does not go with the runtime`},
		{`runtime = "kvm"`, `x.toml:1: service.x.kvm: has nothing to boot`},
		{"runtime = \"kvm\"\nkvm = { disks = [\"a\"] }", `x.toml:3: service.x.kvm: "a" is no file for it`},
		{"runtime = \"kvm\"\nkvm = { disks = [\"/a,readonly=off\"] }", `x.toml:3: service.x.kvm: "/a,readonly=off" is no file for it`},
		{"runtime = \"kvm\"\nkvm = { disks = [\"/a\"], append = \"b\" }", `x.toml:3: service.x.kvm.kernel: is missing`},
		{"runtime = \"kvm\"\nkvm = { disks = [\"/a\"], cpus = -1 }", `x.toml:3: service.x.kvm.cpus: is -1`},
		{"runtime = \"kvm\"\nkvm = { disks = [\"/a\"], memory = \"5B\" }", `x.toml:3: service.x.kvm.memory: is too little`},
		{"runtime = \"kvm\"\nkvm = { disks = [\"/a\"], accel = \"xen\" }", `x.toml:3: service.x.kvm.accel: is "xen"`},
		{"runtime = \"kvm\"\nkvm = { disks = [\"/a\"] }\ncommand = \"true\"", `x.toml:4: service.x.command: does not go with the runtime`},
	} {
		text := tt.text
		if strings.HasPrefix(text, "docker") {
			text += "\ncommand = \"true\""
		}
		f := Parse("x.toml", []byte("[service.x]\n"+text+"\n"))
		if len(f.Problems) != 1 || !strings.HasPrefix(f.Problems[0].String(), tt.says) || len(f.Services) > 0 {
			t.Errorf("%s:\n got  %v\n want %s", tt.text, f.Problems, tt.says)
		}
	}
}
