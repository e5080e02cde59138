package jobs

import "slices"

// spans is a set of numbers from 1 on, of which most follow each other.
type spans []span

type span struct{ from, to uint64 } // both in it

// add adds a number, and says whether it was not there.
func (s *spans) add(n uint64) bool {
	at, _ := slices.BinarySearchFunc(*s, n, func(x span, n uint64) int {
		if x.to < n {
			return -1
		}
		return 1
	})
	l := *s
	after := at < len(l) && l[at].from <= n
	joinsNext := at < len(l) && l[at].from == n+1
	joinsLast := at > 0 && l[at-1].to == n-1
	switch {
	case after:
		return false
	case joinsLast && joinsNext:
		l[at-1].to = l[at].to
		*s = slices.Delete(l, at, at+1)
	case joinsLast:
		l[at-1].to = n
	case joinsNext:
		l[at].from = n
	default:
		*s = slices.Insert(l, at, span{n, n})
	}
	return true
}

// has says whether a number is there.
func (s spans) has(n uint64) bool {
	return slices.ContainsFunc(s, func(x span) bool { return x.from <= n && n <= x.to })
}

// next is the lowest number that is not there.
func (s spans) next() uint64 {
	if len(s) == 0 || s[0].from > 1 {
		return 1
	}
	return s[0].to + 1
}

// missing says how many of the numbers below one are not there.
func (s spans) missing(below uint64) uint64 {
	if below == 0 {
		return 0
	}
	n := below - 1
	for _, x := range s {
		if x.from < below {
			n -= min(x.to, below-1) - x.from + 1
		}
	}
	return n
}
