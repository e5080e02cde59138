package topology

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Read reads and checks a topology file.
func Read(path string) (*Topology, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("topology %s: %w; give the path of a YAML file, or none for the default grid", path, errors.Unwrap(err))
	}
	return Parse(path, text)
}

// Parse reads and checks a topology; file is only for error messages. All
// errors of the file come back at once, one line each.
func Parse(file string, text []byte) (*Topology, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, notYAML(file, err)
	}
	r := &reader{file: file}
	t := &Topology{file: file}
	if len(doc.Content) == 0 {
		r.fail(1, "", "is empty, want segments, acs and nodes")
	} else {
		r.topology(doc.Content[0], t)
	}
	if len(r.errs) == 0 {
		t.check(r)
	}
	return t, errors.Join(r.errs...)
}

// notYAML moves the line, if the parser tells it, to where all errors have it.
func notYAML(file string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if line, what, ok := strings.Cut(rest, ": "); ok {
			return fmt.Errorf("%s:%s: not YAML: %s", file, line, what)
		}
	}
	return fmt.Errorf("%s: not YAML: %s", file, text)
}

// reader walks the YAML tree by hand: every error knows its line and key.
type reader struct {
	file string
	errs []error
}

func (r *reader) fail(line int, key, format string, args ...any) {
	if key != "" {
		key += ": "
	}
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s%s", r.file, line, key, fmt.Sprintf(format, args...)))
}

// field reads one value; key is its path in the file.
type field func(key string, n *yaml.Node)

// object reads a mapping, refusing keys it does not know.
func (r *reader) object(key string, n *yaml.Node, fields map[string]field, known string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n.Line, key, "want a mapping with %s", known)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		path := strings.TrimPrefix(key+"."+k.Value, ".")
		read, ok := fields[k.Value]
		switch {
		case !ok:
			r.fail(k.Line, path, "unknown key, want one of %s", known)
		case seen[k.Value]:
			r.fail(k.Line, path, "is there twice")
		default:
			read(path, v)
		}
		seen[k.Value] = true
	}
}

// list reads a sequence; item is called with the path of each element.
func (r *reader) list(item field) field {
	return func(key string, n *yaml.Node) {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if n.Kind != yaml.SequenceNode {
			r.fail(n.Line, key, "want a list")
			return
		}
		for i, c := range n.Content {
			item(key+"["+strconv.Itoa(i)+"]", c)
		}
	}
}

// value reads a scalar by a function that says what it wants when it fails.
func value[T any](r *reader, to *T, want string, parse func(string) (T, error)) field {
	return func(key string, n *yaml.Node) {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if n.Kind != yaml.ScalarNode {
			r.fail(n.Line, key, "want %s", want)
			return
		}
		v, err := parse(n.Value)
		if err != nil {
			r.fail(n.Line, key, "%q: want %s", n.Value, want)
			return
		}
		*to = v
	}
}

func (r *reader) text(to *string, want string) field {
	return value(r, to, want, func(s string) (string, error) { return s, nil })
}

func (r *reader) addr(to *netip.Addr) field {
	return value(r, to, "an address such as 192.168.7.2", netip.ParseAddr)
}

func (r *reader) duration(to *time.Duration) field {
	return value(r, to, "a duration such as 10m or 1h30m", time.ParseDuration)
}

func (r *reader) flag(to *bool) field {
	return value(r, to, "true or false", strconv.ParseBool)
}
