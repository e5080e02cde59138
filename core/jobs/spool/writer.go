package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/g8os/g8os/core/api"
)

// Keep has a record on the disk when it returns without an error. With one it
// stays in memory, and is tried again until the disk takes it.
func (s *Spool) Keep(r Record) error {
	if s.aead == nil {
		return nil
	}
	key := []byte(s.name(r.ID))
	return s.put(true, map[slot][]byte{{string(jobsBucket), string(key)}: s.sealed(jobsBucket, key, r)})
}

// Told keeps that the AC has a job's end, and removes what the job said. It
// does not wait: a job that is told twice does no harm.
func (s *Spool) Told(r Record) {
	if s.aead != nil {
		key := []byte(s.name(r.ID))
		_ = s.put(false, map[slot][]byte{{string(jobsBucket), string(key)}: s.sealed(jobsBucket, key, r)})
	}
	s.remove(r.ID)
}

// Forget removes the records of jobs, soon.
func (s *Spool) Forget(ids []string) {
	if s.aead == nil || len(ids) == 0 {
		return
	}
	gone := map[slot][]byte{}
	for _, id := range ids {
		gone[slot{string(jobsBucket), s.name(id)}] = nil
	}
	_ = s.put(false, gone)
}

// KeepEvent has an event on the disk when what it returns does so without an
// error, and the event with the number dropped (0: none) not any more.
func (s *Spool) KeepEvent(ev api.NodeEvent, dropped uint64) (kept func() error) {
	if s.aead == nil {
		return func() error { return nil }
	}
	key := binary.BigEndian.AppendUint64(nil, ev.Seq)
	all := map[slot][]byte{
		{string(eventsBucket), string(key)}:        s.sealed(eventsBucket, key, ev),
		{string(metaBucket), string(lastEventKey)}: key,
	}
	if dropped > 0 {
		all[slot{string(eventsBucket), string(binary.BigEndian.AppendUint64(nil, dropped))}] = nil
	}
	return s.later(all)
}

// ForgetEvents removes events, soon.
func (s *Spool) ForgetEvents(seqs []uint64) {
	if s.aead == nil || len(seqs) == 0 {
		return
	}
	gone := map[slot][]byte{}
	for _, seq := range seqs {
		gone[slot{string(eventsBucket), string(binary.BigEndian.AppendUint64(nil, seq))}] = nil
	}
	_ = s.put(false, gone)
}

// Fault is why the disk took nothing the last time it was tried; nil: it did.
func (s *Spool) Fault() error {
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	return s.fault
}

// Close writes what waits.
func (s *Spool) Close() {
	s.closeOutput()
	if s.aead == nil {
		return
	}
	close(s.stop)
	<-s.ended
}

// put hands records to the writer, and waits until they are written if it is to.
func (r *records) put(wait bool, all map[slot][]byte) error {
	if wait {
		return r.later(all)()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(r.pending, all)
	if len(r.pending) > lazily {
		r.poke()
	}
	return nil
}

// later hands records to the writer, and returns what waits for it.
func (r *records) later(all map[slot][]byte) (wait func() error) {
	done := make(chan error, 1)
	r.mu.Lock()
	maps.Copy(r.pending, all)
	r.waiting = append(r.waiting, done)
	r.mu.Unlock()
	r.poke()
	return func() error {
		select {
		case err := <-done:
			return err
		case <-r.ended:
			return errors.New("the spool is closed")
		}
	}
}

func (r *records) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *records) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = err
}

func (r *records) start() { go r.run() }

func (r *records) run() {
	defer close(r.ended)
	ticker := time.NewTicker(retry)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			r.flush()
			r.shut()
			return
		case <-r.wake:
			r.flush()
		case <-ticker.C:
			r.flush()
		}
	}
}

// flush commits what waits. What the disk did not take waits on, unless it has
// been replaced meanwhile.
func (r *records) flush() {
	r.mu.Lock()
	batch, waiting := r.pending, r.waiting
	r.pending, r.waiting = map[slot][]byte{}, nil
	r.mu.Unlock()
	if len(batch) == 0 && len(waiting) == 0 {
		return
	}
	err := r.commit(batch)
	r.mu.Lock()
	r.fault = err
	r.commits++
	if err != nil {
		for k, v := range batch {
			if _, newer := r.pending[k]; !newer {
				r.pending[k] = v
			}
		}
	}
	r.mu.Unlock()
	for _, done := range waiting {
		done <- err
	}
}

func (r *records) commit(batch map[slot][]byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("keep jobs and events in %s: %w: %v", r.path, errDamaged, p)
		}
	}()
	if r.db == nil {
		err = r.openDB()
	}
	if err == nil {
		err = r.db.Update(func(tx *bbolt.Tx) error { return write(tx, batch) })
	}
	if err != nil {
		return fmt.Errorf("keep jobs and events in %s: %w", r.path, err)
	}
	return nil
}

func write(tx *bbolt.Tx, batch map[slot][]byte) error {
	for k, v := range batch {
		b := tx.Bucket([]byte(k.bucket))
		var err error
		if v == nil {
			err = b.Delete([]byte(k.key))
		} else {
			err = b.Put([]byte(k.key), v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isDisk says whether an error is the disk's, not that of what is on it.
func isDisk(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EDQUOT, syscall.EIO, syscall.EACCES, syscall.EPERM, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
