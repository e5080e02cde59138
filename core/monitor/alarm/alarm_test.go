package alarm

import (
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/monitor/measure"
)

// What is written comes out whole, whatever it is, or not at all.
func FuzzParse(f *testing.F) {
	f.Add("[disk]\nabove = 80\n")
	f.Add("[scratch]\nmeasure = \"disk\"\non = \"/scratch*\"\nabove = 99.5\nfor = \"10m\"\nlevel = 8\n")
	f.Add("[load]\noff = true\n[a.b]\nc = 3\n")
	f.Add("[[disk]]\nabove = nan\n")
	f.Add("disk = {above = 1, clear = 2}\n'disk'.for = \"1h\"")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Parse("alarms.toml", []byte(text))
		if err != nil {
			if rules != nil || !strings.HasPrefix(err.Error(), "alarms.toml:") {
				t.Errorf("%d rules, error %v", len(rules), err)
			}
			return
		}
		names := map[string]bool{}
		for _, r := range rules {
			if names[r.Name] || units[r.Measure] == "" || !(r.Clear <= r.Above) || r.For < 0 || r.For > maxFor || r.Level < api.LevelWarning {
				t.Errorf("%+v out of %q", r, text)
			}
			names[r.Name] = true
		}
		New(rules).Step([]Reading{{Disk, "/", 99}}, time.Unix(0, 0))
	})
}

func TestDefaultsAreRules(t *testing.T) {
	for _, r := range Defaults() {
		r.check(func(key, what string) { t.Errorf("%s.%s: %s", r.Name, key, what) })
	}
	if rules, err := Parse("f", nil); err != nil || len(rules) != len(Defaults()) {
		t.Errorf("%d rules of an empty file, %v", len(rules), err)
	}
}

func TestTooMuch(t *testing.T) {
	if _, err := Parse("f", make([]byte, MaxFile+1)); err == nil {
		t.Error("a file that is too long is taken")
	}
	var many strings.Builder
	for i := range maxRules {
		many.WriteString("[r" + strings.Repeat("x", i%20) + string(rune('a'+i/20)) + "]\nmeasure = \"cpu\"\nabove = 1\n")
	}
	if _, err := Parse("f", []byte(many.String())); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("%d rules: %v", maxRules+len(Defaults()), err)
	}
}

func TestReadings(t *testing.T) {
	off := -3 * time.Second
	s := measure.Sample{Cores: 2, Swap: 10, SwapUsed: 5, Temperatures: map[string]float64{"b": 50, "a": 40}, FileSystems: []measure.FileSystem{
		{Path: "/", Total: 100, Used: 91, Inodes: 10, InodesUsed: 1}, {Path: "/image", Total: 5, Used: 5, ReadOnly: true}, {Path: "/odd", Used: 3},
	}}
	got := Readings(s, api.Metrics{MemTotal: 4, MemUsed: 1, Load1: 3, CPU: .5}, &off)
	want := []Reading{
		{Clock, "", 3}, {CPU, "", 50}, {Disk, "/", 91}, {Inodes, "/", 10}, {Load, "", 1.5}, {Memory, "", 25}, {Swap, "", 50}, {Temperature, "a", 40}, {Temperature, "b", 50},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}
