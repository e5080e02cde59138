package main

import (
	"fmt"
	"io"
	"time"

	"github.com/g8os/g8os/internal/table"
)

// progress is one line on a terminal that says how far a copy is. Where there
// is no terminal there is none.
type progress struct {
	w           io.Writer
	name        string
	began, last time.Time
	shown       bool
}

const showEvery = 200 * time.Millisecond

func newProgress(w io.Writer, name string) *progress {
	p := &progress{name: name, began: time.Now()}
	if table.IsTerminal(w) {
		p.w = w
	}
	return p
}

func (p *progress) tell(done, all int64) {
	now := time.Now()
	if p.w == nil || now.Sub(p.last) < showEvery {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprintf(p.w, "\r\x1b[K%s  %s", p.name, table.Bytes(float64(done)))
	if all > 0 {
		fmt.Fprintf(p.w, " of %s  %d%%", table.Bytes(float64(all)), min(100, 100*done/all))
	}
	fmt.Fprintf(p.w, "  %s/s", table.Bytes(float64(done)/now.Sub(p.began).Seconds()))
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
