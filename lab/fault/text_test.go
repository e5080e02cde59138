package fault

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// full is a fault of a kind with every field that the kind knows.
func full(k Kind) Fault {
	f := Fault{Kind: k.Name}
	for _, name := range slices.Concat(k.Needs, k.Takes) {
		switch name {
		case "from":
			f.From = "office-1"
		case "to":
			f.To = "ac1"
		case "both":
			f.Both = true
		case "on":
			f.On = "office-1"
		case "nic":
			f.NIC = "eth1"
		case "nodes":
			f.Nodes = []string{"office-1", "dhcp-1"}
		case "percent":
			f.Percent = 12.5
		case "delay":
			f.Delay = Duration(1500 * time.Microsecond)
		case "jitter":
			f.Jitter = Duration(time.Millisecond)
		case "rate":
			f.Rate = 64000
		case "address":
			f.Address = netip.MustParseAddr("192.168.7.9")
		case "by":
			f.By = Duration(-48 * time.Hour)
		}
	}
	if !k.Once {
		f.For = Duration(90 * time.Second)
	}
	return f
}

// Every kind with every field is read back as it was written, as text and as JSON.
func TestRoundTrip(t *testing.T) {
	for _, k := range Kinds() {
		for _, f := range []Fault{{Kind: k.Name}, full(k)} {
			if got, err := Parse(f.String()); err != nil || !reflect.DeepEqual(got, f) {
				t.Errorf("%s: read back as %+v, %v", f, got, err)
			}
			text, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			var got Fault
			if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, f) {
				t.Errorf("%s: read back as %+v, %v", text, got, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, k := range Kinds() {
		f.Add(full(k).String())
	}
	f.Add("loss percent=NaN")
	f.Add("rate rate=549755813887gbit")
	f.Add("outage nodes=,")
	f.Fuzz(func(t *testing.T, text string) {
		one, err := Parse(text)
		if err != nil {
			if strings.ContainsRune(err.Error(), '\n') && !strings.ContainsRune(text, '\n') {
				t.Errorf("more than one line: %v", err)
			}
			return
		}
		two, err := Parse(one.String())
		if err != nil || !reflect.DeepEqual(one, two) {
			t.Errorf("%q is %+v, written and read back %+v, %v", text, one, two, err)
		}
		if _, err := json.Marshal(one); err != nil {
			t.Errorf("%q cannot be recorded: %v", text, err)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                           `fault "": want a kind, such as partition or dhcp-silent`,
		"kill office-1":              `fault "kill office-1": "office-1": want NAME=VALUE, or both`,
		"kill on=":                   `fault "kill on=": "on=": want NAME=VALUE, or both`,
		"kill at=5s":                 `fault "kill at=5s": at=5s: no such word; want both, on, nic, from, to, nodes, percent, delay, jitter, rate, address, by, for`,
		"kill on=a on=b":             `fault "kill on=a on=b": on is given twice`,
		"loss percent=ten":           `fault "loss percent=ten": percent: "ten": want a number above 0 to 100`,
		"loss percent=NaN":           `fault "loss percent=NaN": percent: "NaN": want a number above 0 to 100`,
		"loss percent=+Inf":          `fault "loss percent=+Inf": percent: "+Inf": want a number above 0 to 100`,
		"delay delay=5":              `fault "delay delay=5": delay: "5": want a duration such as 30s or 250ms`,
		"rate rate=8mb":              `fault "rate rate=8mb": rate: "8mb": want a rate such as 8mbit or 64kbit`,
		"rate rate=0bit":             `fault "rate rate=0bit": rate: "0bit": want a rate such as 8mbit or 64kbit`,
		"rate rate=549755813887gbit": `fault "rate rate=549755813887gbit": rate: "549755813887gbit": want a rate such as 8mbit or 64kbit`,
		"squatter address=here":      `fault "squatter address=here": address: "here": want an IPv4 address`,
	} {
		if _, err := Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q: got  %v\nwant %s", text, err, want)
		}
	}
}

func TestRate(t *testing.T) {
	for r, want := range map[Rate]string{8e6: "8mbit", 64000: "64kbit", 2e9: "2gbit", 1500: "1500bit", 1: "1bit"} {
		var back Rate
		if err := back.UnmarshalText([]byte(want)); err != nil || r.String() != want || back != r {
			t.Errorf("%d: %s, read back as %d, %v", r, r, back, err)
		}
	}
}

func TestSchedule(t *testing.T) {
	s, err := ParseSchedule(`
		# first the power, then the cable
		30s power on=office-1 for=10s
		5s  cable on=dhcp-1 for=1m # it stays out longest
		30s damage-slots on=office-2
		0s  kill on=office-1
	`)
	if err != nil {
		t.Fatal(err)
	}
	want := "0s kill on=office-1\n5s cable on=dhcp-1 for=1m0s\n30s power on=office-1 for=10s\n30s damage-slots on=office-2\n"
	if s.String() != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
	if again, err := ParseSchedule(s.String()); err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("read back as %v, %v", again, err)
	}
	if s.Span() != 65*time.Second {
		t.Errorf("it takes %s, want 1m5s", s.Span())
	}
}

func TestScheduleRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"kill on=a":          `line 1: "kill": want a duration such as 30s or 250ms`,
		"\n-5s kill on=a":    `line 2: -5s: want a time from 0`,
		"5s":                 `line 1: fault "": want a kind, such as partition or dhcp-silent`,
		"5s kill\n6s kill x": `line 2: fault "kill x": "x": want NAME=VALUE, or both`,
	} {
		if _, err := ParseSchedule(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
