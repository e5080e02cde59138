package claim

import "testing"

func TestStep(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Claim
		e    Event
		held bool
		does Effect
	}{
		{"nobody has it", Claim{}, Event{Said: true}, false, Effect{Take: true}},
		{"nobody has it any more, ours is kept while we take it again", Claim{Held: true}, Event{Said: true}, true, Effect{Take: true}},
		{"ours from now on", Claim{}, Event{Said: true, Holder: "ac1"}, true, Effect{Announce: true}},
		{"still ours", Claim{Held: true, Sure: true}, Event{Said: true, Holder: "ac1"}, true, Effect{}},
		{"another has it", Claim{Held: true, Sure: true}, Event{Said: true, Holder: "ac2"}, false, Effect{}},
		{"no majority: it is kept", Claim{Held: true, Sure: true}, Event{Silent: true}, true, Effect{}},
		{"another announces it while we are sure", Claim{Held: true, Sure: true}, Event{Foreign: true}, true, Effect{Announce: true}},
		{"another announces it while we cannot ask", Claim{Held: true}, Event{Foreign: true}, false, Effect{}},
		{"drained: it is given back", Claim{Held: true, Sure: true, Drained: true}, Event{Said: true, Holder: "ac1"}, false, Effect{Free: true}},
		{"drained: it is not taken", Claim{Drained: true}, Event{Said: true}, false, Effect{}},
	} {
		c.in.Own = "ac1"
		got, does := c.in.Step(c.e)
		if got.Held != c.held || does != c.does {
			t.Errorf("%s: held %t, does %+v; want %t, %+v", c.name, got.Held, does, c.held, c.does)
		}
	}
}

// world is two ACs and what the store says.
type world struct {
	acs    [2]Claim
	holder string
}

// step has one AC take an event, and the store what it does.
func (w world) step(i int, e Event) world {
	var does Effect
	w.acs[i], does = w.acs[i].Step(e)
	switch {
	case does.Take && w.holder == "":
		w.holder = w.acs[i].Own
	case does.Free && w.holder == w.acs[i].Own:
		w.holder = ""
	}
	return w
}

// next is all that can happen to a world.
func (w world) next() (all []world) {
	for i := range w.acs {
		drained := w
		drained.acs[i].Drained = !w.acs[i].Drained
		all = append(all, drained)
		for _, e := range []Event{{Said: true, Holder: w.holder}, {Silent: true}, {Foreign: true}} {
			all = append(all, w.step(i, e))
		}
	}
	over := w // the holder's lease
	over.holder = ""
	return append(all, over)
}

// Whatever happens to two ACs, in any order: once both have heard the same
// holder, it has the address and the other one has not.
func TestNeverTwo(t *testing.T) {
	start := world{acs: [2]Claim{{Own: "a"}, {Own: "b"}}}
	seen, queue := map[world]bool{start: true}, []world{start}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, w := range queue[0].next() {
			both := w.step(0, Event{Said: true, Holder: w.holder}).step(1, Event{Said: true, Holder: w.holder})
			for i, c := range both.acs {
				if w.holder != "" && c.Held != (w.holder == c.Own && !w.acs[i].Drained) {
					t.Fatalf("%+v: both have heard that it is %s: %+v", w, w.holder, both.acs)
				}
			}
			if !seen[w] {
				seen[w], queue = true, append(queue, w)
			}
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d states were reached", len(seen))
	}
}
