package lab

import (
	"testing"

	"github.com/g8os/g8os/lab/topology"
)

func TestWhatConcernsAMachine(t *testing.T) {
	nics := []topology.Port{{MAC: "02:00:00:00:00:01"}, {MAC: "02:00:00:00:00:02"}}
	for filter, want := range map[string]string{
		"":            "(ether host 02:00:00:00:00:01 or ether host 02:00:00:00:00:02 or ether multicast)",
		"arp or icmp": "(ether host 02:00:00:00:00:01 or ether host 02:00:00:00:00:02 or ether multicast) and (arp or icmp)",
	} {
		if got := concerning(nics, filter); got != want {
			t.Errorf("%q: got %q", filter, got)
		}
	}
}
