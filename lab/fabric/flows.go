package fabric

import (
	"fmt"
	"strings"
)

// conduit is the way of one link through the shaper, or through a cable that is
// late: the port to send to and the tag to send with (0: none), and the port
// that it comes back by.
type conduit struct {
	in, out int
	tag     int
	gone    bool // the link does not go this way any more: only what is held comes back
}

// noFlood is a VLAN that no node is in: ports of it are sent nothing but by
// flows that name them.
const noFlood = "4094"

// toMany is the match for broadcast and multicast.
const toMany = "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00"

// flows works out a bridge's whole table. A link that nothing passes is a cut;
// what passes another that misbehaves goes through its conduit, both what is
// sent to one and to many. Nobody else's frames are touched.
//
//	0     everything               NORMAL
//	500   to a MAC                 its port, when its frames teach NORMAL nothing any more
//	990   from a conduit           drop: what is nobody's any more
//	1000  from a port, to many     the ports that are left, and the conduits
//	1000  from a port, to a MAC    drop, or the conduit
//	1000  from a conduit           the receiver's port; by the tag, if there is one
//	1001  from a port              drop, when it is cut off from everybody
func flows(bad []pair, ports []Attached, via map[string]conduit) []string {
	all := []string{"priority=0,actions=NORMAL"}
	wrong := map[int]map[int]pair{} // by number of the sender's port and the receiver's
	for _, p := range bad {
		if wrong[p.from.Number] == nil {
			wrong[p.from.Number] = map[int]pair{}
		}
		wrong[p.from.Number][p.to.Number] = p
	}
	for _, from := range ports {
		if len(wrong[from.Number]) > 0 {
			all = append(all, sends(from, ports, wrong[from.Number], via)...)
		}
	}
	return append(all, returns(ports, via)...)
}

// sends are the flows of a sender that something is wrong with.
func sends(from Attached, ports []Attached, wrong map[int]pair, via map[string]conduit) []string {
	home := fmt.Sprintf("priority=500,dl_dst=%s,actions=output:%d", from.MAC, from.Number)
	in := fmt.Sprintf("in_port=%d", from.Number)
	var outputs, tagged, single []string
	for _, to := range ports {
		if to.Number == from.Number {
			continue
		}
		p, bad := wrong[to.Number]
		action := "drop"
		switch {
		case !bad:
			outputs = append(outputs, fmt.Sprintf("output:%d", to.Number))
			continue
		case !p.spec.Dead() && via[p.name()].tag == 0:
			action = fmt.Sprintf("output:%d", via[p.name()].in)
			outputs = append(outputs, action)
		case !p.spec.Dead():
			action = through(via[p.name()])
			tagged = append(tagged, action+",pop_vlan")
		}
		single = append(single, fmt.Sprintf("priority=1000,%s,dl_dst=%s,actions=%s", in, to.MAC, action))
	}
	if len(outputs)+len(tagged) == 0 {
		return []string{home, "priority=1001," + in + ",actions=drop"}
	}
	many := strings.Join(append(outputs, tagged...), ",")
	many = strings.TrimSuffix(many, ",pop_vlan")
	return append([]string{home, "priority=1000," + in + "," + toMany + ",actions=" + many}, single...)
}

// through sends a frame into a conduit. The tag is pushed: a frame may have one
// of its own.
func through(c conduit) string {
	const present = 0x1000 // OFPVID_PRESENT
	return fmt.Sprintf("push_vlan:0x8100,set_field:%d->vlan_vid,output:%d", present|c.tag, c.in)
}

// returns are the flows of what comes back from conduits.
func returns(ports []Attached, via map[string]conduit) []string {
	if len(via) == 0 {
		return nil
	}
	var all []string
	drop := map[int]bool{}
	for _, from := range ports {
		for _, to := range ports {
			c, ok := via[pair{from: from, to: to}.name()]
			if !ok || from.Number == to.Number {
				continue
			}
			if !drop[c.out] {
				drop[c.out] = true
				all = append(all, fmt.Sprintf("priority=990,in_port=%d,actions=drop", c.out))
			}
			match, pop := "", ""
			if c.tag != 0 {
				match, pop = fmt.Sprintf(",dl_vlan=%d", c.tag), "pop_vlan,"
			}
			all = append(all, fmt.Sprintf("priority=1000,in_port=%d%s,actions=%soutput:%d", c.out, match, pop, to.Number))
		}
	}
	return all
}
