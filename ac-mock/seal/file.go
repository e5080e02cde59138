package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/g8os/g8os/ac-mock/keyfile"
	"github.com/g8os/g8os/core/api"
)

// Options says where the master key is.
type Options struct {
	File    string // mode 0600, owned by who runs the AC; made at first start
	DataDir string // the store's folder: the file must not lie in it, and is made only while it is empty or absent
}

const header = "# G8OS master key. Without it the data of the AC is lost: keep a copy, and not where the data is.\n" +
	"# One key a line; the first one seals, all of them open.\n"

// Load reads the master key file, and makes it at first start (created says
// so). It refuses a file that lies in the data directory, that others can read,
// that is damaged, or that is missing while there is data sealed under it.
func Load(o Options) (s *Sealer, created bool, err error) {
	if err := keyfile.Outside(o.File, o.DataDir); err != nil {
		return nil, false, err
	}
	text, err := keyfile.Read(o.File)
	if errors.Is(err, fs.ErrNotExist) {
		created = true
		text, err = create(o)
	}
	if err != nil {
		return nil, false, err
	}
	keys, err := parse(text)
	if err != nil {
		return nil, false, fmt.Errorf("master key file %s: %w; restore it from its copy", o.File, err)
	}
	if s, err = New(keys...); err == nil {
		s.file = o.File
	}
	return s, created, err
}

func create(o Options) ([]byte, error) {
	entries, err := os.ReadDir(o.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for data: %w", err)
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("master key file %s is missing, but %s has data sealed under it: restore the file from its copy (a new one would open nothing)", o.File, o.DataDir)
	}
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails
	line, err := format(key)
	if err != nil {
		return nil, err
	}
	text := []byte(header + line)
	return text, keyfile.Create(o.File, text)
}

func format(key []byte) (string, error) {
	id, err := idOf(key)
	if err != nil {
		return "", err
	}
	return id.String() + " " + base64.StdEncoding.EncodeToString(key) + "\n", nil
}

// parse reads lines of "ID KEY". The id is derived from the key, so it is the
// checksum as well.
func parse(text []byte) ([]api.Secret, error) {
	var keys []api.Secret
	n := 0
	for line := range bytes.Lines(text) {
		n++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		key, err := parseLine(fields)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%d lines and no key", n)
	}
	return keys, nil
}

func parseLine(fields []string) (api.Secret, error) {
	if len(fields) != 2 {
		return nil, fmt.Errorf("%d words, want key id and key", len(fields))
	}
	key, err := base64.StdEncoding.Strict().DecodeString(fields[1])
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("the key is damaged: want %d bytes in base64", KeySize)
	}
	id, err := idOf(key)
	if err != nil {
		return nil, err
	}
	if id.String() != fields[0] {
		return nil, fmt.Errorf("the key is damaged: its id is %s, the line says %q", id, fields[0])
	}
	return key, nil
}
