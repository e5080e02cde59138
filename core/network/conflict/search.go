package conflict

import "time"

// search begins to look, with one candidate.
func (c *Claim) search(now time.Time) []Effect {
	c.probing, c.window, c.refill = nil, 1, now
	c.forget()
	return c.topUp(now)
}

// hold ends the search: m has its address.
func (c *Claim) hold(m *Machine) {
	c.held, c.probing = m, nil
	c.forget()
}

func (c *Claim) forget() {
	c.taken, c.said = [FallbackCount + 1]bool{}, false
}

// note remembers which address the sender has, or wants.
func (c *Claim) note(p Packet, now time.Time) {
	if x := fallbackX(p.SenderIP); x != 0 {
		c.avoid[x] = now.Add(usedFor)
	}
	if x := fallbackX(p.TargetIP); x != 0 && p.IsProbe() {
		until := now.Add(wantedFor + time.Duration(c.rng.Int64N(int64(wantedVar))))
		if until.After(c.avoid[x]) {
			c.avoid[x] = until
		}
	}
}

// survived tells whether a candidate got no answer to its first probe.
func (m *Machine) survived() bool { return m.state == Probing && m.sent > 1 }

// wantsMore tells whether more candidates should be begun, sooner or later.
func (c *Claim) wantsMore() bool {
	if c.held != nil || len(c.probing) >= c.window {
		return false
	}
	free := 0
	for _, m := range c.probing {
		if m.survived() {
			free++
		}
	}
	return free < enough
}

// topUp begins as many candidates as the window and the rate allow, and says
// when none is left.
func (c *Claim) topUp(now time.Time) []Effect {
	var out []Effect
	if !now.Before(c.refill) {
		c.refill = now.Add(pause)
		for begun := 0; begun < burst && c.wantsMore(); begun++ {
			x := c.candidate(now)
			if x == 0 {
				c.refill = c.nextFree(now)
				break
			}
			out = append(out, c.begin(x, now)...)
		}
	}
	if !c.said && c.Taken() == FallbackCount {
		c.said = true
		out = append(out, AllTaken{FallbackCount})
	}
	return out
}

// candidate is the next X worth a probe; 0: there is none at the moment.
func (c *Claim) candidate(now time.Time) int {
	for range FallbackCount {
		x := c.pick.Next()
		switch {
		case now.Before(c.avoid[x]):
			c.taken[x] = true
		case !c.isProbing(x):
			return x
		}
	}
	return 0
}

// nextFree is when the first avoided address may be tried again, but not
// before pause is over.
func (c *Claim) nextFree(now time.Time) time.Time {
	first := now.Add(usedFor + wantedVar)
	for _, t := range c.avoid[1:] {
		if t.After(now) && t.Before(first) {
			first = t
		}
	}
	if soonest := now.Add(pause); first.Before(soonest) {
		return soonest
	}
	return first
}

func (c *Claim) isProbing(x int) bool {
	for _, m := range c.probing {
		if m.Address() == Fallback(x) {
			return true
		}
	}
	return false
}

// begin probes one more candidate. Only the first one waits long.
func (c *Claim) begin(x int, now time.Time) []Effect {
	t := c.c.Timing
	t.ProbeWait = c.patience
	c.patience = min(t.ProbeWait, pause)
	m := New(Config{MAC: c.c.MAC, Own: c.c.Own, Address: Fallback(x), Seed: c.rng.Uint64(), Timing: t})
	c.probing = append(c.probing, m)
	return m.Start(now)
}
