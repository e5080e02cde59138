// Package rules holds the project's written rules as functions that a test
// runs over the tree: which part may import which, that every package says
// what it is for, that what decides reads no clock, that nothing is killed by
// name, that no file grows beyond a sitting, that each trap of the earlier
// generation has its test.
//
// Every rule takes a file tree and returns what breaks it, in a fixed order,
// so that each can be shown to fail on a small bad tree. It is not a linter
// for taste; that is make lint.
package rules

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Module is the import path of the tree's root.
const Module = "github.com/g8os/g8os"

// Finding is one place that breaks a rule.
type Finding struct {
	File string // path from the root of the tree
	Line int    // from 1; 0 when the finding is about the whole file or tree
	What string
}

func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.What) }

// source is one parsed Go file.
type source struct {
	path string // from the root
	text []byte
	file *ast.File
	fset *token.FileSet
}

func (s source) dir() string     { return path.Dir(s.path) }
func (s source) isTest() bool    { return strings.HasSuffix(s.path, "_test.go") }
func (s source) generated() bool { return ast.IsGenerated(s.file) }

func (s source) finding(pos token.Pos, format string, args ...any) Finding {
	return Finding{File: s.path, Line: s.fset.Position(pos).Line, What: fmt.Sprintf(format, args...)}
}

// skipped are folders that are not the project's own source.
func skipped(fsys fs.FS, dir string) bool {
	switch path.Base(dir) {
	case ".git", "bin", "build", "testdata", "node_modules":
		return true
	}
	if dir == "." {
		return false
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod")) // a tool's own module
	return err == nil
}

// walk calls visit for every file of the project, in lexical order.
func walk(fsys fs.FS, visit func(name string) error) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(fsys, name):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		return visit(name)
	})
}

// sources parses every Go file of the project.
func sources(fsys fs.FS) ([]source, error) {
	var all []source
	fset := token.NewFileSet()
	err := walk(fsys, func(name string) error {
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		all = append(all, source{path: name, text: text, file: file, fset: fset})
		return nil
	})
	return all, err
}

func sorted(found []Finding) []Finding {
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.What, b.What))
	})
	return found
}

// under says whether folder (or import path) p is root or lies below it.
func under(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }
