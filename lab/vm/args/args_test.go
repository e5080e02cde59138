package args

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "accept the command lines as they are now")

func kernel() *Kernel {
	return &Kernel{Image: "/img/vmlinuz", Initrd: "/img/initramfs", Append: "console=ttyS0 quiet"}
}

func TestCommandLines(t *testing.T) {
	memory := "/cache/template/memory"
	for name, s := range map[string]Spec{
		"template": {Kernel: kernel(), Memory: Memory{File: memory, Shared: true}, NoReboot: true},
		"clone":    {Kernel: kernel(), Memory: Memory{File: memory}, Incoming: true, Log: "/log/n1.log"},
		"cold":     {Kernel: kernel(), CPUs: 2, RTC: time.Unix(1<<31, 0), Log: "/log/n1.log"},
		"kvm":      {Kernel: kernel(), Accel: "kvm"},
		"bios":     {USB: &USB{Image: "/disk/stick", Format: "raw", Serial: "stick"}},
		"uefi":     {USB: &USB{Image: "/disk/stick", Format: "raw", Code: "/ovmf/code", Vars: "/disk/vars"}},
		"commas":   {Kernel: kernel(), Log: "/log/a,b"},
	} {
		s.Name, s.Dir, s.MemoryMiB = "lab.n1", "/run/n1", 256
		if s.Accel == "" {
			s.Accel = "tcg"
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got := strings.ReplaceAll(strings.Join(s.Args(), " "), " -", "\n-")
		path := "testdata/" + name + ".args"
		if *rewrite {
			if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got+"\n" != string(want) {
			t.Errorf("%s: the command line is another one (-rewrite accepts it):\n%s", name, got)
		}
	}
}

func TestRefused(t *testing.T) {
	good := func() Spec {
		return Spec{Name: "n1", Dir: "/run/n1", Accel: "tcg", MemoryMiB: 256, Kernel: kernel()}
	}
	for what, change := range map[string]func(*Spec){
		"must be tcg or kvm":   func(s *Spec) { s.Accel = "hax" },
		"needs at least 64":    func(s *Spec) { s.MemoryMiB = 32 },
		"one of them":          func(s *Spec) { s.USB = &USB{} },
		"need absolute paths":  func(s *Spec) { s.Kernel.Image = "vmlinuz" },
		"has at most 107":      func(s *Spec) { s.Dir = Dir("/" + strings.Repeat("x", 101)) },
		"virtual machine n1: ": func(s *Spec) { s.Kernel = nil },
	} {
		s := good()
		change(&s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want %q, got %v", what, err)
		}
	}
	if err := good().Check(); err != nil {
		t.Error(err)
	}
}

func TestMACs(t *testing.T) {
	for _, c := range []struct {
		macs []string
		want string // of the error; "": none
	}{
		{[]string{"02:00:00:00:00:01", "02:00:00:00:00:02"}, ""},
		{[]string{"02:00:00:00:00:01", "02:00:00:00:00:02", "02-00-00-00-00-01"}, "is given twice: to a and to c"},
		{[]string{"02:00:00:00:00:0A", "02:00:00:00:00:0a"}, "is given twice: to a and to b"},
		{[]string{"03:00:00:00:00:01"}, "is a group's"},
		{[]string{"02:00:00:00:00"}, "is no MAC address"},
		{[]string{"02:00:00:00:00:00:00:01"}, "is no MAC address"},
	} {
		err := CheckMACs(c.macs, []string{"a", "b", "c"})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.macs, err, c.want)
		}
	}
}
