package state

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/durable"
)

// MediumDir is the folder of a boot medium that is looked at.
const MediumDir = "g8os"

// Imported are the files that a boot medium may bring to /etc/g8os.
var Imported = []string{"ca.pem", "release.pub", "net.toml", "hostname", tokenName}

// tokenName is the file of a join token, which only root may read.
const tokenName = "token"

// recordFile tells what was imported last, by hash.
const recordFile = "imported.json"

// maxImport bounds what is read of a file of the medium, and of our record.
const maxImport = 1 << 20

// Record is the SHA-256 of each file as it was imported last.
type Record map[string]string

// Changes is the rule: of what the medium brings, by name, those files are
// imported whose content is not what was imported last. So a stick that stays
// in its socket brings nothing twice, and a file that an operator changed on
// the node is replaced only when he changes the stick as well. A file that the
// medium does not have (any more) stays on the node.
func Changes(medium map[string][]byte, last Record) (names []string, next Record) {
	next = maps.Clone(last)
	if next == nil {
		next = Record{}
	}
	for _, name := range slices.Sorted(maps.Keys(medium)) {
		if sum := hash(medium[name]); sum != last[name] {
			names = append(names, name)
			next[name] = sum
		}
	}
	return names, next
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Import brings what is new on a medium, mounted at a folder, to the node's
// folder (/etc/g8os), and returns the names.
func Import(medium, dir string) ([]string, error) {
	files, problems := readMedium(medium)
	names, next := Changes(files, readRecord(dir))
	if len(names) == 0 {
		return nil, problems
	}
	var write []durable.New
	for _, name := range names {
		write = append(write, durable.New{Name: name, Data: files[name], Mode: mode(name)})
	}
	if err := durable.WriteAll(durable.OS, dir, write...); err != nil {
		return nil, errors.Join(problems, fmt.Errorf("import from the boot medium: %w", err))
	}
	// after the files: if the power fails between, they are imported again
	raw, err := json.MarshalIndent(next, "", "  ")
	if err == nil {
		err = durable.Write(durable.OS, filepath.Join(dir, recordFile), append(raw, '\n'), 0o644)
	}
	return names, errors.Join(problems, err)
}

func mode(name string) fs.FileMode {
	if name == tokenName {
		return 0o600
	}
	return 0o644
}

// readRecord returns no record when there is none that can be read: then all is
// imported.
func readRecord(dir string) (r Record) {
	raw, err := readBounded(filepath.Join(dir, recordFile))
	if err != nil || json.Unmarshal(raw, &r) != nil {
		return nil
	}
	return r
}

// readMedium reads what a medium brings. A file that cannot be used is left out.
func readMedium(medium string) (map[string][]byte, error) {
	files := map[string][]byte{}
	var problems []error
	for _, name := range Imported {
		content, err := readBounded(filepath.Join(medium, MediumDir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			problems = append(problems, fmt.Errorf("boot medium: %s is left out: %w", name, err))
		case strings.TrimSpace(string(content)) == "":
			problems = append(problems, fmt.Errorf("boot medium: %s is left out: it is empty", name))
		default:
			files[name] = content
		}
	}
	return files, errors.Join(problems...)
}

// readBounded reads a file that somebody else may have put there.
func readBounded(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // of a FIFO it waited for a writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(errors.New("it is no file"), err)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxImport+1))
	if err == nil && len(content) > maxImport {
		err = fmt.Errorf("it has more than %d bytes", maxImport)
	}
	return content, err
}

// Hostname returns the name in a node's folder, "" if there is none.
func Hostname(dir string) string {
	raw, err := readBounded(filepath.Join(dir, "hostname"))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	return strings.TrimSpace(first)
}
