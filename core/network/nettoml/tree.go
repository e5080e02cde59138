package nettoml

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// valueKind is what a TOML value is.
type valueKind string

const (
	isString  valueKind = "a string"
	isInteger valueKind = "an integer"
	isBool    valueKind = "true or false"
	isList    valueKind = "a list"
	isTable   valueKind = "a table"
	isOther   valueKind = "a number or date" // float, date, time: nothing here wants them
)

// value is one TOML value with the line it is on.
type value struct {
	kind   valueKind
	line   int
	text   string
	number int64
	truth  bool
	list   []value
	table  *table
}

// table is a TOML table in file order.
type table struct {
	path    string // dotted, for the problems
	line    int
	header  bool // it has had a [header]
	entries []entry
}

type entry struct {
	name  string
	line  int
	value value
}

func (t *table) get(name string) *entry {
	for i := range t.entries {
		if t.entries[i].name == name {
			return &t.entries[i]
		}
	}
	return nil
}

// builder puts one parsed statement into the tree. The parser saw the
// statement alone; line is how many lines lie before it.
type builder struct {
	p    *unstable.Parser
	line int
	root *table
	sink *sink
}

// add puts a statement in, and returns the table that the next keys belong to.
func (b *builder) add(n *unstable.Node, into *table) *table {
	path, line := b.path(n)
	switch n.Kind {
	case unstable.Table:
		return b.header(path, line)
	case unstable.ArrayTable:
		return b.arrayHeader(path, line)
	case unstable.KeyValue:
		b.set(into, path, line, b.value(n.Value(), line))
	}
	return into
}

// path returns the parts of a dotted key and its line.
func (b *builder) path(n *unstable.Node) (path []string, line int) {
	for it := n.Key(); it.Next(); {
		if line == 0 {
			line = b.lineOf(it.Node(), b.line+1)
		}
		path = append(path, string(it.Node().Data))
	}
	return path, line
}

func (b *builder) lineOf(n *unstable.Node, otherwise int) int {
	if n.Raw.Length == 0 {
		return otherwise
	}
	return b.line + b.p.Shape(n.Raw).Start.Line
}

// descend walks down to the table at path, making what is missing. It returns
// nil when something other than a table is in the way.
func (b *builder) descend(t *table, path []string, line int) *table {
	for _, name := range path {
		e := t.get(name)
		if e == nil {
			under := &table{path: dotted(t.path, name), line: line}
			t.entries = append(t.entries, entry{name: name, line: line, value: value{kind: isTable, line: line, table: under}})
			e = &t.entries[len(t.entries)-1]
		}
		switch {
		case e.value.kind == isTable:
			t = e.value.table
		case e.value.kind == isList && len(e.value.list) > 0 && e.value.list[len(e.value.list)-1].kind == isTable:
			t = e.value.list[len(e.value.list)-1].table
		default:
			b.sink.add(line, dotted(t.path, name), fmt.Sprintf("is %s since line %d", e.value.kind, e.line), "a table")
			return nil
		}
	}
	return t
}

func (b *builder) header(path []string, line int) *table {
	t := b.descend(b.root, path, line)
	switch {
	case t == nil:
		return &table{}
	case t.header:
		b.sink.add(line, strings.Join(path, "."), fmt.Sprintf("is there twice, first on line %d", t.line), "one section for it; this one is left out")
		return &table{}
	}
	t.header = true
	t.line = line
	return t
}

func (b *builder) arrayHeader(path []string, line int) *table {
	last := len(path) - 1
	parent := b.descend(b.root, path[:last], line)
	if parent == nil {
		return &table{}
	}
	e := parent.get(path[last])
	if e == nil {
		parent.entries = append(parent.entries, entry{name: path[last], line: line, value: value{kind: isList, line: line}})
		e = &parent.entries[len(parent.entries)-1]
	}
	if e.value.kind != isList {
		b.sink.add(line, strings.Join(path, "."), fmt.Sprintf("is %s since line %d", e.value.kind, e.line), "a list of tables")
		return &table{}
	}
	t := &table{path: strings.Join(path, "."), line: line, header: true}
	e.value.list = append(e.value.list, value{kind: isTable, line: line, table: t})
	return t
}

// set puts a value under a dotted key; the first one of a key counts.
func (b *builder) set(t *table, path []string, line int, v value) {
	last := len(path) - 1
	if t = b.descend(t, path[:last], line); t == nil {
		return
	}
	if e := t.get(path[last]); e != nil {
		b.sink.add(line, dotted(t.path, path[last]), fmt.Sprintf("is there twice, first on line %d", e.line), "one of them; this one is left out")
		return
	}
	t.entries = append(t.entries, entry{name: path[last], line: line, value: v})
}

func (b *builder) value(n *unstable.Node, line int) value {
	v := value{kind: isOther, line: b.lineOf(n, line), text: string(n.Data)}
	switch n.Kind {
	case unstable.String:
		v.kind = isString
	case unstable.Bool:
		v.kind, v.truth = isBool, v.text == "true"
	case unstable.Integer:
		number, err := strconv.ParseInt(strings.ReplaceAll(v.text, "_", ""), 0, 64)
		if err == nil {
			v.kind, v.number = isInteger, number
		}
	case unstable.Array:
		v.kind = isList
		for it := n.Children(); it.Next(); {
			v.list = append(v.list, b.value(it.Node(), v.line))
		}
	case unstable.InlineTable:
		v.kind, v.table = isTable, &table{line: v.line, header: true}
		for it := n.Children(); it.Next(); {
			path, at := b.path(it.Node())
			b.set(v.table, path, at, b.value(it.Node().Value(), at))
		}
	}
	return v
}
