package links

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/network"
)

// record is what is ours, as it was or is about to be. It is written before
// the kernel is changed: it may name more than there is, never less.
type record struct {
	Where string   `json:"where"` // boot and network namespace that the links belong to
	Links []*entry `json:"links"` // in the order of the first touch
	Names names    `json:"names"`
}

// entry is what is ours on one interface.
type entry struct {
	Name      string          `json:"name"`
	Index     int             `json:"index"` // 0: about to be made
	Up        bool            `json:"up"`    // before our first touch
	MTU       int             `json:"mtu"`   // before our first touch
	SetMTU    int             `json:"set_mtu,omitempty"`
	Raised    bool            `json:"raised,omitempty"`
	Addresses []netip.Prefix  `json:"addresses,omitempty"`
	Routes    []network.Route `json:"routes,omitempty"`
	Made      string          `json:"made,omitempty"`   // the kind that we made it as
	Master    string          `json:"master,omitempty"` // what we made it a port of
}

// names is what is ours of resolv.conf.
type names struct {
	Servers []served `json:"servers,omitempty"` // in the order of Apply
	Before  *string  `json:"before,omitempty"`  // its text before us; nil: it was not there
	Wrote   []string `json:"wrote,omitempty"`   // what we wrote, and what we are about to write
}

type served struct {
	Link string       `json:"link"`
	DNS  []netip.Addr `json:"dns"`
}

func (r *record) find(name string) *entry {
	for _, e := range r.Links {
		if e.Name == name {
			return e
		}
	}
	return nil
}

func (r *record) forget(name string) {
	r.Links = slices.DeleteFunc(r.Links, func(e *entry) bool { return e.Name == name })
}

// idle tells that nothing of ours is left, so that the entry can go.
func (e *entry) idle() bool {
	return len(e.Addresses) == 0 && len(e.Routes) == 0 && !e.Raised && e.SetMTU == 0 && e.Made == "" && e.Master == ""
}

// load reads the record. Links of another boot or namespace are gone with it;
// resolv.conf may have survived both. A record that cannot be read must not
// stop the boot: routes carry our mark, and the rest is left alone.
func load(path string, log *slog.Logger) (record, error) {
	where, err := here()
	if err != nil {
		return record{}, err
	}
	r := record{Where: where}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read the record of the interfaces: %w", err)
	}
	old := record{}
	if err := json.Unmarshal(b, &old); err != nil {
		log.Warn("the record of the interfaces is damaged: what it named is not taken back", "file", path, "error", err)
		return r, nil
	}
	if old.Where == where {
		return old, nil
	}
	r.Names = names{Before: old.Names.Before, Wrote: old.Names.Wrote}
	return r, nil
}

// here names this boot and network namespace.
func here() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	ns, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return "", fmt.Errorf("find the network namespace: %w", err)
	}
	return strings.TrimSpace(string(boot)) + " " + ns, nil
}

// save writes the record when it has changed. What is in the kernel does not
// survive a power cut, so nor need the record of it; resolv.conf does.
func (l *Links) save() error {
	b, err := json.MarshalIndent(l.record, "", "  ")
	if err != nil {
		return fmt.Errorf("record the interfaces: %w", err)
	}
	if bytes.Equal(b, l.saved) {
		return nil
	}
	lasting, err := json.Marshal(l.record.Names)
	if err != nil {
		return fmt.Errorf("record the interfaces: %w", err)
	}
	if bytes.Equal(lasting, l.lasting) {
		err = renameOver(l.opts.Record, b, 0o600)
	} else {
		err = durable.Write(durable.OS, l.opts.Record, b, 0o600)
	}
	if err != nil {
		l.saved, l.lasting = nil, nil
		return fmt.Errorf("record the interfaces, so nothing was changed: %w", err)
	}
	l.saved, l.lasting = b, lasting
	return nil
}

// renameOver replaces a file in one step for those who look, and for the next
// process after a kill, without waiting for the disk.
func renameOver(path string, b []byte, mode fs.FileMode) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, b, mode); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
