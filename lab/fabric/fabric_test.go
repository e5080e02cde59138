package fabric

import "testing"

func TestNamesFit(t *testing.T) {
	seen := map[string]string{}
	for _, p := range []Port{
		{Machine: "office-1", NIC: "eth0"}, {Machine: "office-1", NIC: "eth1"}, {Machine: "office-11", NIC: "eth0"},
		{Machine: "a-very-long-node-name-1", NIC: "eth0"}, {Machine: "a-very-long-node-name-2", NIC: "eth0"},
	} {
		name := p.Name()
		if len(name) > 15 || seen[name] != "" {
			t.Errorf("%+v: %q has %d bytes, or is that of %s", p, name, len(name), seen[name])
		}
		seen[name] = p.Machine
	}
	if got := Bridge("office"); got != "br-office" {
		t.Errorf("got %s", got)
	}
}

func TestParsePorts(t *testing.T) {
	text := `{"data":[["br-x",65534,"",["map",[]]],
		["a_0",3,["set",[]],["map",[["g8lab","l"],["mac","\"02:00:00:00:00:01\""],["machine","a"],["nic","eth0"],["segment","x"]]]],
		["b_0",-1,"could not open network device b_0 (No such device)",["map",[["machine","b"],["nic","eth0"],["segment","x"]]]]],
		"headings":["name","ofport","error","external_ids"]}`
	got, err := parsePorts([]byte(text))
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	want := Attached{Port: Port{Machine: "a", NIC: "eth0", MAC: "02:00:00:00:00:01", Segment: "x"}, Number: 3}
	if got[0] != want {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
	if got[1].Number != -1 || got[1].Problem == "" {
		t.Errorf("got %+v", got[1])
	}
	for _, bad := range []string{"", "[]x", `{"data":[["a"]]}`} {
		if _, err := parsePorts([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParsePorts(f *testing.F) {
	f.Add([]byte(`{"data":[["a_0",3,["set",[]],["map",[["machine","a"]]]]]}`))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = parsePorts(text) })
}
