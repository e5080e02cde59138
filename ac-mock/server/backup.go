package server

import (
	"errors"
	"net/http"
	"time"
)

// backup writes all that the store has to an admin, sealed. It is in the audit
// before the first byte leaves. What breaks off must not look whole.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	if s.opt.Backup == nil {
		fail(w, http.StatusConflict, "back its store up with its own tools", errors.New("this AC cannot make backups"))
		return
	}
	actor, _, _ := s.caller(r)
	if err := s.opt.Registry.Note(r.Context(), actor.String(), "backup", "", "to "+r.RemoteAddr); err != nil {
		s.trouble(w, r, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	keys, err := s.opt.Backup(r.Context(), w)
	if err != nil {
		s.opt.Log.Error("backup failed", "actor", actor.String(), "error", err)
		panic(http.ErrAbortHandler)
	}
	s.opt.Log.Info("backup made", "actor", actor.String(), "keys", keys)
}
