package boot

import (
	"slices"
	"time"

	"github.com/g8os/g8os/core/network/nettoml"
)

// ensured keeps what could not be made: for the warnings, and to be asked for
// again. What kept it may pass, as a switch that does not answer in time.
func (m *Machine) ensured(e Ensured) {
	m.ensuring = slices.DeleteFunc(m.ensuring, func(n string) bool { return n == e.Interface })
	m.ensureErrs = slices.DeleteFunc(m.ensureErrs, func(old Ensured) bool { return old.Interface == e.Interface })
	if e.Err != "" {
		m.ensureErrs = append(m.ensureErrs, e)
	}
	m.mendAfter(backoff(m.cfg.Timing.MendMin, m.cfg.Timing.MendMax, m.mends, m.cfg.Seed))
}

// mendAfter sets when what could not be made is asked for again; never, when
// nothing is lacking. A round asks for all of net.toml by itself.
func (m *Machine) mendAfter(d time.Duration) {
	if len(m.ensureErrs) == 0 {
		m.mendAt, m.mends = time.Time{}, 0
		return
	}
	m.mendAt = m.now.Add(d)
}

// mendAsked has what net.toml still wants, and could not be made, asked for at
// once: somebody had the file read again.
func (m *Machine) mendAsked() {
	m.ensureErrs = slices.DeleteFunc(m.ensureErrs, func(e Ensured) bool {
		i, ok := m.file.Interface(e.Interface)
		return !ok || i.Kind == nettoml.Physical
	})
	m.mendAfter(0)
}

// mend asks again for the virtual interfaces that could not be made, when its
// time has come and no round does.
func (m *Machine) mend() {
	if !m.idle() || !m.reached(m.mendAt) {
		return
	}
	m.mendAt = time.Time{}
	m.mends++
	failed := func(i nettoml.Interface) bool {
		return slices.ContainsFunc(m.ensureErrs, func(e Ensured) bool { return e.Interface == i.Name })
	}
	for _, i := range m.file.InOrder() {
		if i.Kind != nettoml.Physical && failed(i) {
			m.emit(Ensure{i})
		}
	}
}
