package seal

import (
	"fmt"
	"slices"

	"github.com/g8os/g8os/ac-mock/keyfile"
	"github.com/g8os/g8os/core/api"
)

// Name returns the id of a master key.
func Name(key api.Secret) (KeyID, error) {
	if len(key) != KeySize {
		return KeyID{}, fmt.Errorf("seal: a master key has %d bytes, want %d", len(key), KeySize)
	}
	return idOf(key)
}

// Find returns the id that is written so, if its key is here; zero otherwise.
func (s *Sealer) Find(id string) KeyID {
	for _, m := range s.keys() {
		if m.id.String() == id {
			return m.id
		}
	}
	return KeyID{}
}

// Record is a sealed secret as it lies in a store.
type Record struct {
	Envelope   []byte
	Label      string                       // the record key that it is sealed for
	Generation uint64                       // and the generation
	Put        func([]byte) ([]byte, error) // the stored value with another envelope in it
}

// Has says whether records that are sealed under a key can be opened.
func (s *Sealer) Has(id KeyID) bool {
	return slices.ContainsFunc(s.keys(), func(m masterKey) bool { return m.id == id })
}

// Only says whether a key is the only one.
func (s *Sealer) Only(id KeyID) bool { return len(s.keys()) == 1 && s.ID() == id }

// Add has a key open, after those that are there. It is durable when Add
// returns, as with Use and Keep; what is so already is not done again.
func (s *Sealer) Add(key api.Secret) error {
	id, err := Name(key)
	if err != nil {
		return err
	}
	return s.change(func(all []masterKey) ([]masterKey, error) {
		if slices.ContainsFunc(all, func(m masterKey) bool { return m.id == id }) {
			return nil, nil
		}
		return append(all, masterKey{id: id, key: slices.Clone(key)}), nil
	})
}

// Use has one of the keys seal from now on.
func (s *Sealer) Use(id KeyID) error {
	return s.change(func(all []masterKey) ([]masterKey, error) {
		at := slices.IndexFunc(all, func(m masterKey) bool { return m.id == id })
		switch {
		case at < 0:
			return nil, fmt.Errorf("seal under master key %s: %w: it is not here", id, ErrKey)
		case at == 0:
			return nil, nil
		}
		m := all[at]
		return slices.Insert(slices.Delete(all, at, at+1), 0, m), nil
	})
}

// Keep forgets all keys but one, which seals by now.
func (s *Sealer) Keep(id KeyID) error {
	return s.change(func(all []masterKey) ([]masterKey, error) {
		switch {
		case all[0].id != id:
			return nil, fmt.Errorf("keep master key %s only: %w: %s seals", id, ErrKey, all[0].id)
		case len(all) == 1:
			return nil, nil
		}
		return all[:1], nil
	})
}

// change writes other keys into the file, and then uses them.
func (s *Sealer) change(to func([]masterKey) ([]masterKey, error)) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	all, err := to(slices.Clone(s.keys()))
	if err != nil || all == nil {
		return err
	}
	if s.file != "" {
		text := header
		for _, m := range all {
			line, err := format(m.key)
			if err != nil {
				return err
			}
			text += line
		}
		if err := keyfile.Replace(s.file, []byte(text)); err != nil {
			return err
		}
	}
	s.all.Store(&all)
	return nil
}
