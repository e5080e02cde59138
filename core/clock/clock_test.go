package clock

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	tests := []struct {
		in     string
		ok     bool
		offset time.Duration
	}{
		{"system", true, 0},
		{"own", true, 0},
		{"own:-2h", true, -2 * time.Hour},
		{"own:+90m", true, 90 * time.Minute},
		{"own:", false, 0},
		{"own:soon", false, 0},
		{"system:1h", false, 0},
		{"", false, 0},
	}
	for _, tt := range tests {
		c, err := Parse(tt.in)
		if tt.ok != (err == nil) {
			t.Errorf("Parse(%q): error %v, want success %v", tt.in, err, tt.ok)
			continue
		}
		if err == nil {
			if off := time.Until(c.Now()) - tt.offset; off.Abs() > time.Minute/2 {
				t.Errorf("Parse(%q): off by %s", tt.in, off)
			}
		}
	}
}

func TestOwnIsSetWithoutTheMachine(t *testing.T) {
	before := time.Now()
	c := NewOwn(0)
	if err := c.Set(time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if year := c.Now().UTC().Year(); year != 1970 {
		t.Errorf("own clock is in %d", year)
	}
	if d := time.Since(before); d < 0 || d > time.Minute {
		t.Errorf("the machine's clock moved by %s", d)
	}
}

// What Set does is remembered, however often; what it fails to do is not.
func TestUntouched(t *testing.T) {
	refusal := errors.New("not permitted")
	var refuse error
	var asked int64
	system := &System{kernel: func(tv *unix.Timeval) error { asked = tv.Sec; return refuse }}
	if off := time.Until(system.Untouched()); off.Abs() > time.Minute {
		t.Errorf("a machine's clock that was never set is untouched at %s", off)
	}
	to := time.Now().Add(240 * time.Hour)
	if err := system.Set(to); err != nil || asked != to.Unix() {
		t.Fatalf("the kernel was asked for %d, want %d: %v", asked, to.Unix(), err)
	}
	refuse = refusal
	if err := system.Set(to); !errors.Is(err, refusal) {
		t.Fatalf("refused by the kernel: %v", err)
	}
	// This kernel only says that it has set the clock, so the rest is behind.
	if off := time.Until(system.Untouched()) + 240*time.Hour; off.Abs() > time.Minute {
		t.Errorf("a machine's clock that was set ahead once is untouched %s from where it was", off)
	}

	own := NewOwn(-2 * time.Hour)
	for _, by := range []time.Duration{240 * time.Hour, -time.Hour} {
		_ = own.Set(time.Now().Add(by))
		r := Read(own)
		if now, was := time.Until(r.Now)-by, time.Until(r.Untouched)+2*time.Hour; now.Abs() > time.Minute || was.Abs() > time.Minute {
			t.Errorf("own clock set by %s shows %s, and %s untouched", by, r.Now, r.Untouched)
		}
	}
}

func TestPlausible(t *testing.T) {
	built := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for now, want := range map[time.Time]bool{
		built: true, built.Add(-time.Second): false, built.AddDate(9, 0, 0): true,
		time.Unix(0, 0): false, time.Date(2038, 1, 19, 3, 14, 7, 0, time.UTC): false,
	} {
		if Plausible(now, built) != want {
			t.Errorf("Plausible(%s) is not %v", now, want)
		}
	}
}

func TestAdoptedIsUntouched(t *testing.T) {
	set := func(*unix.Timeval) error { return nil }
	for name, c := range map[string]Clock{"own": NewOwn(-time.Hour), "system": &System{kernel: set}} {
		if err := c.Set(time.Now().Add(48 * time.Hour)); err != nil {
			t.Fatal(err)
		}
		if ahead := c.Now().Sub(c.Untouched()); name == "own" && ahead < 48*time.Hour {
			t.Errorf("%s: set ahead by %s, it says", name, ahead)
		}
		c.Adopt()
		if off := c.Now().Sub(c.Untouched()).Abs(); off > time.Second {
			t.Errorf("%s: adopted, and still off by %s", name, off)
		}
	}
}
