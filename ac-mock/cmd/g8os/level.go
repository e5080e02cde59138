package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs/inband"
)

// leveled picks what has one of some levels out of a job's output, as programs
// write them in-band. What it gives are whole messages, without their marks.
type leveled struct {
	least, most int
	streams     map[streamOf]*inband.Parser
}

// streamOf is one stream of a job on one node.
type streamOf struct {
	node         api.NodeID
	name, stream string
}

// parseLevels reads 7, or 7-9.
func parseLevels(text string) (*leveled, error) {
	first, last, is := strings.Cut(text, "-")
	if !is {
		last = first
	}
	least, err1 := strconv.Atoi(first)
	most, err2 := strconv.Atoi(last)
	if err1 != nil || err2 != nil || least < 1 || most < least {
		return nil, exitError{exitUsage, errors.New("--level " + text + ": want a level such as 7, or some such as 7-9")}
	}
	return &leveled{least: least, most: most, streams: map[streamOf]*inband.Parser{}}, nil
}

// pick is an event with only the messages that are whole with it.
func (l *leveled) pick(e api.JobEvent) (api.JobEvent, bool) {
	of := streamOf{e.Node, e.Name, e.Stream}
	p := l.streams[of]
	if p == nil {
		plain := api.LevelStdout
		if e.Stream == "stderr" {
			plain = api.LevelStderr
		}
		p = inband.New(plain)
		l.streams[of] = p
	}
	data := e.Data
	e.Data = l.text(func(take func(inband.Message)) { p.Write(data, take) })
	return e, len(e.Data) > 0
}

// rest is what had no end when the output had.
func (l *leveled) rest() (events []api.JobEvent) {
	for of, p := range l.streams {
		if text := l.text(p.End); len(text) > 0 {
			events = append(events, api.JobEvent{Node: of.node, Name: of.name, Stream: of.stream, Data: text})
		}
	}
	slices.SortFunc(events, func(a, b api.JobEvent) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(b.Stream, a.Stream))
	})
	return events
}

func (l *leveled) text(messages func(take func(inband.Message))) []byte {
	var out bytes.Buffer
	messages(func(m inband.Message) {
		if m.Level < l.least || m.Level > l.most {
			return
		}
		out.Write(m.Text)
		if !m.Cut && !bytes.HasSuffix(m.Text, []byte("\n")) {
			fmt.Fprintln(&out)
		}
	})
	return out.Bytes()
}
