package spec

import (
	"reflect"
)

// keys are the known ones of a section, and of each table in it.
var keys = keysOf("", reflect.TypeFor[raw](), map[string][]string{})

func keysOf(path string, t reflect.Type, into map[string][]string) map[string][]string {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("toml")
		into[path] = append(into[path], name)
		under := f.Type
		if under.Kind() == reflect.Slice {
			under = under.Elem()
		}
		if under.Kind() == reflect.Struct && under.Field(0).Tag != "" {
			keysOf(dotted(path, name), under, into)
		}
	}
	return into
}

func dotted(under, name string) string {
	if under == "" {
		return name
	}
	return under + "." + name
}
