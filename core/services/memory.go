package services

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/runtime"
)

const stateSuffix = ".state"

func (s *Supervisor) statePath(name string) string {
	return filepath.Join(s.o.RunDir, name+stateSuffix)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// recall reads what the last core knew of services that are new to this one,
// and adopts those that run.
func (s *Supervisor) recall(services []Service) (fresh map[string]*life, known map[string]order.Memory) {
	fresh, known = map[string]*life{}, map[string]order.Memory{}
	stopped := s.readDesired()
	for _, d := range services {
		s.mu.Lock()
		_, old := s.machine.State(d.Name)
		s.mu.Unlock()
		if old {
			continue
		}
		m, ok := s.readState(d.Name)
		if m.Stopped = slices.Contains(stopped, d.Name); ok || m.Stopped {
			known[d.Name] = m
		}
		if !m.Phase.Alive() {
			continue
		}
		i, err := d.Runtime.Adopt()
		if err == nil {
			fresh[d.Name] = newLife(d)
			fresh[d.Name].is = i
		} else if !errors.Is(err, runtime.ErrNotRunning) {
			s.o.Log.Warn("a service cannot be adopted", "service", d.Name, "error", err)
		}
	}
	return fresh, known
}

func (s *Supervisor) readState(name string) (m order.Memory, ok bool) {
	if s.o.RunDir == "" {
		return m, false
	}
	raw, err := os.ReadFile(s.statePath(name))
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.o.Log.Warn("what is known of a service cannot be read: it begins anew", "service", name, "error", err)
	}
	return m, err == nil
}

// keep writes what the next core needs to know. It needs no disk: after a power
// cut nothing of it is true. The lock is held.
func (s *Supervisor) keep(name string) {
	if s.o.RunDir == "" {
		return
	}
	st, ok := s.machine.State(name)
	if !ok {
		delete(s.all, name)
		delete(s.lives, name)
		_ = os.Remove(s.statePath(name)) // if it stays, it is a stray one
		return
	}
	raw, err := json.Marshal(st.Memory)
	if err == nil {
		err = os.MkdirAll(s.o.RunDir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(s.statePath(name)+".new", raw, 0o644)
	}
	if err == nil {
		err = os.Rename(s.statePath(name)+".new", s.statePath(name))
	}
	if err != nil {
		s.o.Log.Warn("how a service is cannot be written down: a restarted g8os_core will not know", "service", name, "error", err)
	}
}

// desired is the content of the file of what operators have stopped.
type desired struct {
	Stopped []string `json:"stopped"`
}

func (s *Supervisor) readDesired() []string {
	if s.o.Desired == "" {
		return nil
	}
	var d desired
	raw, err := os.ReadFile(s.o.Desired)
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.o.Log.Warn("what operators have stopped cannot be read: all services are started", "file", s.o.Desired, "error", err)
	}
	s.mu.Lock()
	s.stopped = d.Stopped
	s.mu.Unlock()
	return d.Stopped
}

// desire writes down what operators have stopped. The lock is held.
func (s *Supervisor) desire() error {
	if s.o.Desired == "" {
		return nil
	}
	var now []string
	for _, st := range s.machine.States() {
		if st.Stopped {
			now = append(now, st.Name)
		}
	}
	slices.Sort(now)
	if slices.Equal(now, s.stopped) {
		return nil
	}
	raw, err := json.Marshal(desired{now})
	if err == nil {
		err = durable.Write(durable.OS, s.o.Desired, raw, 0o644)
	}
	if err == nil {
		s.stopped = now
	}
	return err
}

// endStrays ends what the last core ran and nobody declares any more.
func (s *Supervisor) endStrays(services []Service, keep []string) {
	if s.o.RunDir == "" || s.o.Stray == nil {
		return
	}
	states, _ := filepath.Glob(s.statePath("*"))
	for _, path := range states {
		name := strings.TrimSuffix(filepath.Base(path), stateSuffix)
		s.mu.Lock()
		_, known := s.machine.State(name)
		s.mu.Unlock()
		if known || slices.Contains(keep, name) || slices.ContainsFunc(services, func(d Service) bool { return d.Name == name }) {
			continue
		}
		s.o.Log.Info("a service is declared no more, it ends", "service", name)
		s.live.Go(func() { s.endStray(name, path) })
	}
}

func (s *Supervisor) endStray(name, path string) {
	i, err := s.o.Stray(name).Adopt()
	if err == nil {
		err = i.Stop()
	}
	if err != nil && !errors.Is(err, runtime.ErrNotRunning) {
		s.o.Log.Warn("service", "service", name, "error", err)
		return
	}
	_ = os.Remove(path)
}
