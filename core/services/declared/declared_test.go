package declared

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, f *Folder) (names []string, found Found) {
	t.Helper()
	found, err := f.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found.Services {
		names = append(names, s.Name+" "+strings.Join(s.Command[2:], " "))
	}
	return names, found
}

const good = "[service.web]\ncommand = \"one\"\n"

func TestMistakesLeaveWhatRunsAlone(t *testing.T) {
	dir := t.TempDir()
	f := New(dir)
	write(t, dir, "web.toml", good)
	write(t, dir, "notes.txt", "no TOML at all")
	if got, found := read(t, f); !reflect.DeepEqual(got, []string{"web one"}) || len(found.Problems) > 0 {
		t.Fatalf("%v, %v", got, found.Problems)
	}
	stamp := f.Stamp()
	for _, text := range []string{"[service.web]\ncomand = \"two\"\n", "[service.web\n"} {
		write(t, dir, "web.toml", text)
		write(t, dir, "db.toml", "[service.db]\ncommand = \"db\"\n")
		got, found := read(t, f)
		if !reflect.DeepEqual(got, []string{"db db", "web one"}) || len(found.Problems) != 1 || !strings.Contains(found.Problems[0], "web.toml:1") && !strings.Contains(found.Problems[0], "web.toml:2") {
			t.Errorf("%q: %v, %v", text, got, found.Problems)
		}
	}
	if f.Stamp() == stamp {
		t.Error("nothing is said to have changed")
	}
	if got, found := read(t, New(dir)); !reflect.DeepEqual(got, []string{"db db"}) || len(found.Problems) != 1 {
		t.Errorf("in another core: %v, %v", got, found.Problems)
	}
	if err := os.Remove(filepath.Join(dir, "web.toml")); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, f); !reflect.DeepEqual(got, []string{"db db"}) {
		t.Errorf("after it was removed: %v", got)
	}
}

func TestTheACDeclaresAndTakesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "services.d")
	f := New(dir, "sshd")
	if err := f.Declare("web", good); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, f); !reflect.DeepEqual(got, []string{"web one"}) {
		t.Fatal(got)
	}
	if err := f.Declare("web", "[service.web]\ncommand = \"two\"\n"); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "db.toml", "[service.db]\ncommand = \"db\"\n")
	for name, text := range map[string]string{
		"web":     "[service.web]\ncomand = \"three\"\n",
		"other":   good,
		"two":     good + "[service.two]\ncommand = \"x\"\n",
		"db":      "[service.db]\ncommand = \"mine\"\n",
		"sshd":    "[service.sshd]\ncommand = \"mine\"\n",
		"../evil": "[service.x]\ncommand = \"x\"\n",
		"needs":   "[service.needs]\ncommand = \"x\"\nafter = [\"nobody\"]\n",
	} {
		if err := f.Declare(name, text); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, found := read(t, f); !reflect.DeepEqual(got, []string{"web two", "db db"}) || len(found.Problems) > 0 {
		t.Errorf("%v, %v", got, found.Problems)
	}
	for _, name := range []string{"db", "nobody", "../evil"} {
		if err := f.Remove(name); !errors.Is(err, ErrRefused) {
			t.Errorf("remove %s: %v", name, err)
		}
	}
	if err := f.Remove("web"); err != nil {
		t.Error(err)
	}
	if got, _ := read(t, f); !reflect.DeepEqual(got, []string{"db db"}) {
		t.Error(got)
	}
}
