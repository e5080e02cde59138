package vm

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/template"
)

func TestSpike(t *testing.T) {
	ctx := t.Context()
	sp := Machine("tcg", DefaultMemoryMiB, 1, args.Kernel{Image: os.Getenv("G8IMG") + "/vmlinuz", Initrd: os.Getenv("G8IMG") + "/initramfs"})
	tpl, err := template.Get(ctx, template.Options{Cache: "/tmp/D/cache", Spec: sp, Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", tpl)
	b := time.Now()
	var runs []*Transient
	for i := range 16 {
		dir := t.TempDir()
		s := Spec{Machine: sp, NICs: []NIC{{MAC: fmt.Sprintf("52:54:00:00:00:%02x", i)}}}
		s.Machine.Name, s.Machine.Dir, s.Machine.Log = "n1", args.Dir(dir), filepath.Join(dir, "console.log")
		s.Template = &tpl
		r := &Transient{}
		runs = append(runs, r)
		defer r.Close()
		v, err := Start(ctx, r, s)
		if err != nil {
			t.Fatal(err)
		}
		_ = v
		if i == 0 {
			t.Log("one clone", time.Since(b))
			c, _ := net.Dial("unix", s.Machine.Dir.Channel())
			l, err := bufio.NewReader(c).ReadString('\n')
			t.Log(l, err, time.Since(b))
		}
	}
	t.Log("16 clones", time.Since(b))
	time.Sleep(5 * time.Second)
	sum := 0
	for _, r := range runs {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", r.PID()))
		var kb int
		for line := range lines(text) {
			if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kb); n == 1 {
				sum += kb
			}
		}
	}
	t.Log("PSS MiB each", sum/1024/16)
	_ = context.Background
}

func lines(text []byte) func(func(string) bool) {
	return func(y func(string) bool) {
		for l := range strings.Lines(string(text)) {
			if !y(l) {
				return
			}
		}
	}
}
