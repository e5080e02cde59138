package alarm

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/tomlline"
)

// table is a rule as it is written: what is left out is as in the default rule
// of that name, if there is one.
type table struct {
	Measure *string  `toml:"measure"`
	On      *string  `toml:"on"`
	Above   *float64 `toml:"above"`
	Clear   *float64 `toml:"clear"`
	For     *string  `toml:"for"`
	Level   *int     `toml:"level"`
	Off     bool     `toml:"off"`
}

const keys = "above, clear, for, level, measure, off, on"

// Bounds of a file.
const (
	MaxFile  = 64 << 10 // bytes
	maxRules = 128
	maxFor   = 24 * time.Hour
)

var ruleName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)

// Parse reads alarms.toml, over the defaults: a table for each rule, named as
// the rule.
//
//	[disk]                  # one that there is by default: only what differs
//	above = 80
//
//	[scratch]               # one more
//	measure = "disk"
//	on = "/scratch*"
//	above = 99
//	for = "10m"
//	level = 8
//
//	[load]
//	off = true
//
// All mistakes are reported at once, joined, each with file, line and key; then
// there are no rules.
func Parse(file string, text []byte) ([]Rule, error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("%s: %d bytes, at most %d are read", file, len(text), MaxFile)
	}
	var tables map[string]table
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&tables); err != nil {
		return nil, syntax(file, err)
	}
	rules, lines := map[string]Rule{}, tomlline.Of(text)
	for _, r := range Defaults() {
		rules[r.Name] = r
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		r, known := rules[name]
		r.Name = name
		wrong := func(key, what string) {
			line := cmp.Or(lines[name+"."+key], lines[name])
			errs = append(errs, fmt.Errorf("%s:%d: %s.%s: %s", file, line, name, key, what))
		}
		t := tables[name]
		if t.Off {
			delete(rules, name)
			continue
		}
		t.over(&r, known, wrong)
		r.check(wrong)
		rules[name] = r
	}
	if len(rules) > maxRules {
		errs = append(errs, fmt.Errorf("%s: %d rules, at most %d are possible", file, len(rules), maxRules))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(rules), func(a, b Rule) int { return strings.Compare(a.Name, b.Name) }), nil
}

// over lays what is written over a rule.
func (t table) over(r *Rule, known bool, wrong func(key, what string)) {
	set(&r.Above, t.Above)
	switch {
	case t.Clear != nil:
		r.Clear = *t.Clear
	case t.Above != nil: // a little below, so that it does not waver
		r.Clear = *t.Above * 0.95
	}
	set(&r.On, t.On)
	set(&r.Level, t.Level)
	if t.Measure != nil {
		r.Measure = Measure(*t.Measure)
	}
	if t.For != nil {
		d, err := time.ParseDuration(*t.For)
		if err != nil || d < 0 || d > maxFor {
			wrong("for", fmt.Sprintf("%q is no time: want for example 30s or 5m, at most %s", *t.For, maxFor))
		}
		r.For = d
	}
	if !known && t.Above == nil {
		wrong("above", "is missing: a rule that is not among the defaults says at which value it is alarming")
	}
	if !known && t.Level == nil {
		r.Level = api.LevelWarning
	}
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// check says what is wrong with a rule.
func (r Rule) check(wrong func(key, what string)) {
	number := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	if !ruleName.MatchString(r.Name) {
		wrong("", "want a name of at most 32 small letters, digits, '.', '-' and '_'")
	}
	if units[r.Measure] == "" {
		wrong("measure", fmt.Sprintf("%q: want one of %s", r.Measure, measures()))
	}
	if !number(r.Above) || !number(r.Clear) || r.Clear > r.Above {
		wrong("clear", fmt.Sprintf("clear is %v and above %v: want numbers, clear at most above", r.Clear, r.Above))
	}
	if r.Level < api.LevelWarning || r.Level > api.LevelCritical {
		wrong("level", fmt.Sprintf("%d: want %d (warning), %d (error) or %d (critical)", r.Level, api.LevelWarning, api.LevelOpsError, api.LevelCritical))
	}
	if _, err := path.Match(r.On, ""); err != nil {
		wrong("on", fmt.Sprintf("%q is no pattern: * stands for anything but /, ? for one character", r.On))
	}
}

// syntax says in our one-line form what the TOML package found.
func syntax(file string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var errs []error
		for _, e := range strict.Errors {
			line, _ := e.Position()
			errs = append(errs, fmt.Errorf("%s:%d: %s: no such key; there are %s", file, line, strings.Join(e.Key(), "."), keys))
		}
		return errors.Join(errs...)
	}
	if dec, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := dec.Position()
		what, _, _ := strings.Cut(strings.TrimPrefix(dec.Error(), "toml: "), " into ") // then comes a type of Go
		if key := strings.Join(dec.Key(), "."); key != "" {
			what = key + ": " + what
		}
		return fmt.Errorf("%s:%d: %s", file, line, what)
	}
	return fmt.Errorf("%s: %w", file, err)
}
