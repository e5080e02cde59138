package topology

import (
	"encoding/json"
	"os"
	"testing"
)

const manyThings = `
ipv6: true
segments:
  - {name: office, subnet: 10.1.0.0/16, static: {first: 10.1.9.9, last: 10.1.9.99}}
  - {name: pool, subnet: 192.168.8.0/24, dhcp: {first: 192.168.8.10, last: 192.168.8.250, lease: 10m, gateway: 192.168.8.1, dns: [192.168.8.1, 9.9.9.9]}}
  - {name: island}
acs:
  - {name: ac1, policy: approve, fallback: false, layers: true, certificate_life: 10m, legs: [{segment: office, address: 10.1.0.2}, {segment: island}]}
nodes:
  - {name: o, count: 3, nics: [{segment: office, method: static}, {segment: pool, method: dhcp}], clock: -48h}
  - {name: m, fidelity: vm, vm: {memory: 1GiB, cpus: 2, state: [512MiB, 64MiB], append: "quiet"}, nics: [{segment: island, mac: "02:00:00:00:00:01"}]}
  - {name: d, fidelity: vm, vm: {state: none}, nics: [{segment: pool, method: none}]}
  - {name: own, nics: [{segment: pool}], net_toml: "controllers = []\n# : #\n"}
`

// The plan that a written plan is read back as has the same nodes, whatever the
// lab is called.
func TestYAML(t *testing.T) {
	own, err := os.ReadFile("../topologies/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"default": string(own), "many things": manyThings} {
		first := plan(t, text, "one")
		yaml, err := first.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := asJSON(t, plan(t, string(yaml), "one")), asJSON(t, first); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s\n%s", name, got, want, yaml)
		}
		if got, want := asJSON(t, plan(t, string(yaml), "two").Nodes), asJSON(t, first.Nodes); got != want {
			t.Errorf("%s, in another lab: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func plan(t *testing.T, text, lab string) *Plan {
	t.Helper()
	top, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	p, err := top.Plan(lab)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
