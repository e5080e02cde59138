package memory

import "slices"

// names is an index of keys: those that were there when it was last asked for,
// in order, and what has changed since.
type names struct {
	known []string
	added []string // in the order of writing; may hold some that are in known, or gone again
	gone  bool     // some of known may be no more
}

// ordered returns the names of keys in byte order, valid until the next write.
func (n *names) ordered(keys map[string]entry) []string {
	if len(n.added) == 0 && !n.gone {
		return n.known
	}
	slices.Sort(n.added)
	all := make([]string, 0, len(keys))
	add := func(k string) {
		if _, ok := keys[k]; ok && (len(all) == 0 || all[len(all)-1] != k) {
			all = append(all, k)
		}
	}
	rest := n.added
	for _, k := range n.known {
		for len(rest) > 0 && rest[0] < k {
			add(rest[0])
			rest = rest[1:]
		}
		add(k)
	}
	for _, k := range rest {
		add(k)
	}
	*n = names{known: all}
	return all
}
