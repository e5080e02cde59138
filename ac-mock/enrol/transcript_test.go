package enrol

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/transcript"
)

// A transcript is lines of input, each followed by what came of it, indented:
//
//	policy open|approve|token [MAXPENDING [MAXNODES]]
//	token DIGIT USES            a join token for an hour
//	revoke DIGIT
//	wait DURATION
//	claim KEY MAC[,MAC…] COUNTER BOOT [GENERATION,…|-] [token DIGIT|garbage]
//	confirm KEY ID GENERATION
//	certify KEY ID COUNTER BOOT
//	approve|retire|quarantine|release ID
//
// KEY and BOOT are one letter, a MAC its last byte, an ID the last byte of its
// MAC.
func TestTranscripts(t *testing.T) {
	transcript.Test(t, func(_ *testing.T, script string) string { return play(script) })
}

func play(script string) string {
	var out strings.Builder
	b := newBook()
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "    ") {
			continue // what happened last time
		}
		out.WriteString(line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		for said := range strings.Lines(b.step(words)) {
			out.WriteString("    " + said)
		}
	}
	return out.String()
}

func (b *book) step(w []string) string {
	switch w[0] {
	case "policy":
		b.policy.Mode = Mode(w[1])
		if len(w) > 2 {
			b.policy.MaxPending, _ = strconv.Atoi(w[2])
		}
		if len(w) > 3 {
			b.policy.MaxNodes, _ = strconv.Atoi(w[3])
		}
		return ""
	case "token":
		uses, _ := strconv.Atoi(w[2])
		name := strings.Repeat(w[1], 8)
		b.tokens[name] = Token{ID: name, Hash: HashToken(text(w[1])), By: "ann", Expires: b.now.Add(time.Hour), Uses: uses, Left: uses}
		return ""
	case "revoke":
		t := b.tokens[strings.Repeat(w[1], 8)]
		t.Revoked = true
		b.tokens[t.ID] = t
		return ""
	case "wait":
		d, _ := time.ParseDuration(w[1])
		b.now = b.now.Add(d)
		return ""
	case "claim":
		return describe(b.claim(parseClaim(w), key(w[1])))
	case "confirm":
		g, _ := strconv.Atoi(w[3])
		return describe(b.confirm(api.Confirm{NodeID: id(w[2]), Generation: uint32(g)}, key(w[1])))
	case "certify":
		counter, _ := strconv.ParseUint(w[3], 10, 64)
		o := Certify(b.record(id(w[2])), api.CSR{BootID: strings.Repeat(w[4], 32), Counter: counter}, key(w[1]))
		b.write(o)
		return describe(o)
	}
	return b.operate(w[0], id(w[1]))
}

func (b *book) operate(what string, id api.NodeID) string {
	r, err := b.records[id], error(nil)
	switch what {
	case "approve":
		r, err = Approve(r)
	case "quarantine":
		r, err = Quarantine(r, "operator said so")
	case "release":
		r, err = Release(r)
	case "retire":
		b.retire(id)
		return record(b.records[id]) + "\n"
	}
	if err != nil {
		return err.Error() + "\n"
	}
	b.write(Outcome{Record: r, Changed: true})
	return record(r) + "\n"
}

func id(last string) api.NodeID { return api.NodeID("0200000000" + last) }

func parseClaim(w []string) api.Claim {
	c := api.Claim{Hostname: "host-" + w[1], BootID: strings.Repeat(w[4], 32)}
	for m := range strings.SplitSeq(w[2], ",") {
		c.MACs = append(c.MACs, "02:00:00:00:00:"+m)
	}
	c.Counter, _ = strconv.ParseUint(w[3], 10, 64)
	if len(w) > 7 && w[7] == "garbage" {
		c.Token = api.Secret("g8t-garbage")
	} else if len(w) > 7 {
		c.Token = text(w[7])
	}
	if len(w) > 5 && w[5] != "-" {
		for g := range strings.SplitSeq(w[5], ",") {
			n, _ := strconv.Atoi(g)
			c.Generations = append(c.Generations, uint32(n))
		}
	}
	return c
}

func describe(o Outcome) string {
	var s strings.Builder
	verdict := "refused"
	if o.Granted {
		verdict = "granted"
	}
	fmt.Fprintf(&s, "%s: %s", verdict, o.Reason)
	if o.Detail != "" {
		fmt.Fprintf(&s, " (%s)", o.Detail)
	}
	s.WriteString("\n")
	if len(o.Give)+len(o.Drop) > 0 {
		fmt.Fprintf(&s, "give %v, of them new %d, recovery key %t, drop %v\n", o.Give, o.Make, o.Recovery, o.Drop)
	}
	if o.Spend {
		s.WriteString("a use of the join token is spent\n")
	}
	if o.Changed {
		s.WriteString(record(o.Record) + "\n")
	}
	return s.String()
}

func record(r Record) string {
	var macs []string
	for _, m := range r.MACs {
		macs = append(macs, m[len(m)-2:])
	}
	return fmt.Sprintf("%s %s key=%.1s macs=%s counter=%d rebase=%t generations=%v confirmed=%d retired=%d reason=%q",
		r.ID[10:], r.State, r.Device, strings.Join(macs, ","), r.Counter, r.Rebase, r.Generations, r.Confirmed, len(r.Retired), r.Reason)
}
