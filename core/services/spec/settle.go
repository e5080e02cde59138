package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/g8os/g8os/core/problem"
)

// Set is what all files together declare.
type Set struct {
	Services []Service
	Bad      map[string]string // left out, by name: why
	Problems []problem.Problem
}

// Settle puts files together. own are names that others have: they are no names
// for services, but one may come after them. What is left out is in Bad.
func Settle(files []File, own ...string) Set {
	set := Set{Bad: map[string]string{}}
	first := map[string]Service{}
	for _, f := range files {
		set.Problems = append(set.Problems, f.Problems...)
		for _, name := range f.Bad {
			set.Bad[name] = "its declaration has a mistake, see problems"
		}
		for _, s := range f.Services {
			switch other, twice := first[s.Name]; {
			case twice:
				set.wrong(s, "", fmt.Sprintf("is declared already, at %s:%d", other.File, other.Line), "one declaration; this one is left out")
			case slices.Contains(own, s.Name):
				set.wrong(s, "", "is a service of g8os_core itself", "another name")
			default:
				first[s.Name] = s
				set.Services = append(set.Services, s)
			}
		}
	}
	for _, s := range first {
		delete(set.Bad, s.Name) // declared well elsewhere
	}
	set.known(own)
	set.acyclic()
	problem.Sort(set.Problems)
	return set
}

func (set *Set) wrong(s Service, key, wrong, expect string) {
	set.Problems = append(set.Problems, problem.Problem{File: s.File, Line: s.Line, Key: "service." + strings.TrimSuffix(s.Name+"."+key, "."), Wrong: wrong, Expect: expect})
}

// leaveOut takes services away.
func (set *Set) leaveOut(why map[string]string) {
	set.Services = slices.DeleteFunc(set.Services, func(s Service) bool { return why[s.Name] != "" })
	for name, w := range why {
		set.Bad[name] = w
	}
}

// known leaves out what comes after something that nobody declares. What comes
// after something that was left out stays, and is blocked.
func (set *Set) known(own []string) {
	bad := map[string]string{}
	for _, s := range set.Services {
		for _, name := range s.After {
			there := slices.ContainsFunc(set.Services, func(o Service) bool { return o.Name == name })
			if !there && set.Bad[name] == "" && !slices.Contains(own, name) {
				bad[s.Name] = "comes after " + name + ", which nobody declares"
				set.wrong(s, "after", fmt.Sprintf("there is no service %.80q", name), "the name of one")
			}
		}
	}
	set.leaveOut(bad)
}

// acyclic leaves out those that come after themselves.
func (set *Set) acyclic() {
	after := map[string][]string{}
	for _, s := range set.Services {
		after[s.Name] = s.After
	}
	bad := map[string]string{}
	for _, s := range set.Services {
		if way := wayBack(after, s.Name, s.Name, nil); way != nil {
			bad[s.Name] = "comes after itself: " + strings.Join(way, " after ")
			set.wrong(s, "after", bad[s.Name], "no cycle")
		}
	}
	set.leaveOut(bad)
}

// wayBack returns a way from one service to another, nil if there is none.
func wayBack(after map[string][]string, from, to string, seen map[string]bool) []string {
	if seen == nil {
		seen = map[string]bool{}
	}
	for _, next := range after[from] {
		if next == to {
			return []string{from, to}
		}
		if !seen[next] {
			seen[next] = true
			if way := wayBack(after, next, to, seen); way != nil {
				return append([]string{from}, way...)
			}
		}
	}
	return nil
}
