package conflict

import (
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
)

// FallbackCount is how many addresses a node may take: 10.254.254.1 … 253.
// 10.254.254.254 is the AC's.
const FallbackCount = 253

// FallbackPrefix is the network of the fallback addresses.
var FallbackPrefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 254, 254, 0}), 24)

// FallbackAC is where an AC is looked for among them.
var FallbackAC = netip.AddrFrom4([4]byte{10, 254, 254, 254})

// Fallback is 10.254.254.X.
func Fallback(x int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 254, 254, byte(x)})
}

// fallbackX is the X of a fallback address; 0: it is none a node may take.
func fallbackX(a netip.Addr) int {
	if !a.Is4() || !FallbackPrefix.Contains(a) {
		return 0
	}
	if x := int(a.As4()[3]); x <= FallbackCount {
		return x
	}
	return 0
}

// FirstX is the X that the node with this MAC tries first, at every boot: so
// it comes back to its address without having to remember it.
func FirstX(mac string) int { return int(fingerprint(mac)%FallbackCount) + 1 }

// Pick says which X a node tries next: the one that worked last time, then
// FirstX, then all others once, and the same again for ever.
type Pick struct {
	order []int
	at    int
}

// NewPick returns the order of a node. A last address that no node may take
// counts as none. Nodes with the same FirstX go on differently: the rest
// depends on the whole MAC and on the seed.
func NewPick(mac string, seed uint64, last netip.Addr) *Pick {
	rng := rand.New(rand.NewPCG(seed, fingerprint(mac)))
	order := make([]int, 0, FallbackCount+2)
	seen := [FallbackCount + 1]bool{0: true}
	for _, x := range append([]int{fallbackX(last), FirstX(mac)}, rng.Perm(FallbackCount+1)...) {
		if !seen[x] {
			seen[x] = true
			order = append(order, x)
		}
	}
	return &Pick{order: order}
}

// Next is the X to try now, 1 … 253.
func (p *Pick) Next() int {
	x := p.order[p.at]
	p.at = (p.at + 1) % len(p.order)
	return x
}

// fingerprint spreads MACs that differ in one digit over all 64 bits (FNV-1a).
func fingerprint(mac string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(mac)) // a hash never fails to write
	return h.Sum64()
}
