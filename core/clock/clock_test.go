package clock

import (
	"testing"
	"time"
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
