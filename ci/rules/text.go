package rules

import (
	"bytes"
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// PackageComments finds packages without a comment that says what they are
// for. A folder with tests only needs none.
func PackageComments(fsys fs.FS) ([]Finding, error) {
	files, err := sources(fsys)
	if err != nil {
		return nil, err
	}
	documented, first := map[string]bool{}, map[string]source{}
	for _, s := range files {
		if s.isTest() {
			continue
		}
		if _, seen := first[s.dir()]; !seen {
			first[s.dir()] = s
		}
		documented[s.dir()] = documented[s.dir()] || isPackageComment(s.file)
	}
	var found []Finding
	for dir, s := range first {
		if !documented[dir] {
			found = append(found, s.finding(s.file.Package, "package %s has no comment that says what it is for", s.file.Name.Name))
		}
	}
	return sorted(found), nil
}

// isPackageComment says whether a file carries its package's comment: a few
// words at least, and for a library the customary beginning.
func isPackageComment(f *ast.File) bool {
	text := f.Doc.Text()
	if len(strings.Fields(text)) < 8 {
		return false
	}
	return f.Name.Name == "main" || strings.HasPrefix(text, "Package "+f.Name.Name+" ")
}

// Limits on the length of what a person reads in one go, in lines. The aim is
// far below: 100 for the median file, 10 for the median function.
const (
	MaxFile     = 350
	MaxFunction = 80
)

// Length finds files and functions that are too long. Generated files and the
// functions of tests (which are often tables) are not counted.
func Length(fsys fs.FS) ([]Finding, error) {
	files, err := sources(fsys)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, s := range files {
		if s.generated() {
			continue
		}
		if n := bytes.Count(s.text, []byte("\n")); n > MaxFile && !s.isTest() {
			found = append(found, Finding{File: s.path, What: fmt.Sprintf("has %d lines, at most %d: split it", n, MaxFile)})
		}
		if !s.isTest() {
			found = append(found, longFunctions(s)...)
		}
	}
	return sorted(found), nil
}

func longFunctions(s source) []Finding {
	var found []Finding
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
		if n > MaxFunction {
			found = append(found, s.finding(f.Pos(), "%s has %d lines, at most %d: split it", f.Name.Name, n, MaxFunction))
		}
	}
	return found
}

var killsByName = regexp.MustCompile(`\b(p` + `kill|kill` + `all)\b`)

// KillByName finds tools that kill by name. On a machine with two labs, or
// with a grid of its own, a name hits the wrong process.
func KillByName(fsys fs.FS) ([]Finding, error) {
	var found []Finding
	err := walk(fsys, func(name string) error {
		switch path.Ext(name) {
		case ".md", ".sum":
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		for i, line := range bytes.Split(text, []byte("\n")) {
			if m := killsByName.Find(line); m != nil {
				found = append(found, Finding{File: name, Line: i + 1, What: fmt.Sprintf("%s kills by name: kill a pid whose start time was checked", m)})
			}
		}
		return nil
	})
	return sorted(found), err
}
