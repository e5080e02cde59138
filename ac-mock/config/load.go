package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/g8os/g8os/internal/tomlline"
)

// file is ac.toml as it is written. Everything is optional.
type file struct {
	Grid            *string   `toml:"grid"`
	Name            *string   `toml:"name"`
	Listen          *string   `toml:"listen"`
	DataDir         *string   `toml:"data_dir"`
	LogLevel        *string   `toml:"log_level"`
	Faults          *bool     `toml:"faults"`
	MasterKey       *string   `toml:"master_key"`
	CAKey           *string   `toml:"ca_key"`
	Policy          *string   `toml:"policy"`
	AuthorizedKeys  any       `toml:"authorized_keys"`
	CertificateLife *string   `toml:"certificate_life"`
	Names           *[]string `toml:"names"`
	Layers          *string   `toml:"layers"`
	Fallback        struct {
		Interfaces *[]string `toml:"interfaces"`
	} `toml:"fallback"`
	Etcd struct {
		Name       *string   `toml:"name"`
		PeerURL    *string   `toml:"peer_url"`
		Join       *[]string `toml:"join"`
		PeerCert   *string   `toml:"peer_certificate"`
		PeerKey    *string   `toml:"peer_key"`
		PeerCA     *string   `toml:"peer_ca"`
		Endpoints  *[]string `toml:"endpoints"`
		ClientCert *string   `toml:"client_certificate"`
		ClientKey  *string   `toml:"client_key"`
		ClientCA   *string   `toml:"client_ca"`
		QuotaBytes *int64    `toml:"quota_bytes"`
		Compaction *string   `toml:"compaction"`
	} `toml:"etcd"`
}

// Load reads a file over the defaults. A missing file is an error only if
// must is set.
func Load(path string, must bool) (Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return Default(), nil
	}
	if err != nil {
		return Config{}, &Error{File: path, Want: fmt.Sprintf("cannot be read: %v", errors.Unwrap(err))}
	}
	return Parse(path, text)
}

// Parse reads the text of a file over the defaults. Paths in it are relative to
// the file's folder. All mistakes are reported at once, joined, each an *Error.
func Parse(path string, text []byte) (Config, error) {
	var f file
	dec := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return Config{}, syntax(path, err)
	}
	c, a := Default(), &applier{file: path, lines: tomlline.Of(text)}
	a.apply(&c, f)
	if len(a.errs) > 0 {
		return Config{}, errors.Join(a.errs...)
	}
	return c, nil
}

// syntax turns what the TOML package found into our one-line form.
func syntax(path string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var errs []error
		for _, e := range strict.Errors {
			line, _ := e.Position()
			key := strings.Join(e.Key(), ".")
			errs = append(errs, &Error{path, line, key, "no such key; there are " + known(key)})
		}
		return errors.Join(errs...)
	}
	if dec, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := dec.Position()
		return &Error{path, line, strings.Join(dec.Key(), "."), strings.TrimPrefix(dec.Error(), "toml: ")}
	}
	return &Error{File: path, Want: err.Error()}
}

// known names the keys that could have been meant: those of the same table.
func known(key string) string {
	tables := map[string][]string{
		"":         {"authorized_keys", "ca_key", "certificate_life", "data_dir", "faults", "grid", "layers", "listen", "log_level", "master_key", "name", "names", "policy", "[etcd]", "[fallback]"},
		"fallback": {"interfaces"},
		"etcd":     {"client_ca", "client_certificate", "client_key", "compaction", "endpoints", "join", "name", "peer_ca", "peer_certificate", "peer_key", "peer_url", "quota_bytes"},
	}
	table, _, inTable := strings.Cut(key, ".")
	if names, ok := tables[table]; ok && inTable {
		return strings.Join(names, ", ")
	}
	return strings.Join(tables[""], ", ")
}

// relative makes a path of the file absolute.
func relative(file, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
