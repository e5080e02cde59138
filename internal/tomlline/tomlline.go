// Package tomlline says on which line of a TOML file a key stands, for
// messages about values that are TOML and yet wrong.
//
// It promises nothing about a text that is no TOML: decode it first, with a
// library, which says where such a mistake is.
package tomlline

import (
	"bytes"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Of returns the line, from 1, of each key and table of a file, by its dotted
// name with the table before it.
func Of(text []byte) map[string]int {
	lines, table := map[string]int{}, []string{}
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.KeyValue {
			continue
		}
		var key []string
		at := 0
		for it := e.Key(); it.Next(); {
			key = append(key, string(it.Node().Data))
			if at == 0 {
				at = 1 + bytes.Count(text[:it.Node().Raw.Offset], []byte("\n"))
			}
		}
		if e.Kind == unstable.Table {
			table = key
			lines[strings.Join(table, ".")] = at
			continue
		}
		lines[strings.Join(slices.Concat(table, key), ".")] = at
	}
	return lines
}
