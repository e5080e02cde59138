package lab

import (
	"os"
	"path/filepath"
	"strings"
)

// Log returns the path of a log by the name of a node or AC (ac: the first),
// or of the file without .log; unknown names are told which there are.
func (l *Lab) Log(name string) (string, error) {
	if name == "ac" {
		name = l.ACs()[0].Name()
	}
	var names []string
	for _, n := range l.Nodes() {
		names = append(names, n.Name())
	}
	entries, err := os.ReadDir(l.LogDir())
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".log"))
	}
	for _, known := range names {
		if known == name {
			return filepath.Join(l.LogDir(), name+".log"), nil
		}
	}
	return "", unknown("log", l.Name(), name, names)
}
