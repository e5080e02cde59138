package boot

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestComments holds the comments of the state functions against their code:
// "Leads to: a, b." names exactly the states that the function can lead to. A
// reader can draw the machine from them.
func TestComments(t *testing.T) {
	funcs := machineFuncs(t)
	checked := 0
	for name, f := range funcs {
		_, list, ok := strings.Cut(f.Doc.Text(), "Leads to: ")
		if !ok {
			continue
		}
		checked++
		list, _, _ = strings.Cut(strings.ReplaceAll(list, "\n", " "), ".")
		want := strings.Split(list, ", ")
		got := statesIn(funcs, f, map[string]bool{})
		got = slices.DeleteFunc(got, func(s string) bool { return own[name] == s })
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s: its comment says that it leads to %v, its code to %v", name, want, got)
		}
	}
	if checked < 11 {
		t.Errorf("only %d state functions have a comment that says where they lead", checked)
	}
}

// own is the state that each function stays in.
var own = map[string]string{
	"reading": "reading", "configuring": "configuring", "triedConfigured": "configured", "leasing": "leasing",
	"triedLease": "leased", "claiming": "claiming", "triedClaim": "claimed", "resting": "resting",
	"opening": "opening", "mounting": "mounting",
}

func machineFuncs(t *testing.T) map[string]*ast.FuncDecl {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*ast.FuncDecl{}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				out[fn.Name.Name] = fn
			}
		}
	}
	return out
}

// statesIn collects the states that a function returns, enters or goes to,
// through the methods it calls for that.
func statesIn(funcs map[string]*ast.FuncDecl, f *ast.FuncDecl, seen map[string]bool) []string {
	var out []string
	add := func(e ast.Expr) {
		id, ok := e.(*ast.Ident)
		if !ok {
			return
		}
		for _, prefix := range []string{"search", "climb"} {
			if rest, ok := strings.CutPrefix(id.Name, prefix); ok && rest != "" {
				if s := strings.ToLower(rest); !slices.Contains(out, s) {
					out = append(out, s)
				}
			}
		}
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ReturnStmt:
			for _, r := range n.Results {
				add(r)
			}
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch name := sel.Sel.Name; name {
			case "enter", "goTo":
				add(n.Args[0])
			case "afterTries", "seek", "crossed", "beginRound":
				if !seen[name] {
					seen[name] = true
					for _, s := range statesIn(funcs, funcs[name], seen) {
						if !slices.Contains(out, s) {
							out = append(out, s)
						}
					}
				}
			}
		}
		return true
	})
	return out
}
