package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/g8os/g8os/core/api"
)

// layer gives a node that may have a session a layer of its operating system.
// What is in one is no secret; the certificate keeps strangers from the bandwidth.
func (s *Server) layer(w http.ResponseWriter, r *http.Request) {
	id := s.nodeOf(r)
	if id == "" {
		refuse(w)
		return
	}
	if err := s.opt.Registry.Holds(id, r.TLS.PeerCertificates[0]); err != nil {
		s.opt.Log.Info("layer refused", "node", id, "peer", r.RemoteAddr, "reason", err)
		refuse(w)
		return
	}
	sum := r.PathValue("sum")
	if !api.IsLayer(sum) {
		http.NotFound(w, r)
		return
	}
	f, err := s.file(r.Context(), sum)
	if err != nil {
		s.opt.Log.Warn("layer not there", "node", id, "layer", sum, "error", err)
		fail(w, http.StatusNotFound, "put it into the AC's folder of layers", errors.New("the AC does not have this layer"))
		return
	}
	defer f.Close()
	// The deadline of a whole reply is put off as long as the node takes what it is given.
	http.ServeContent(&patient{w, http.NewResponseController(w), s.opt.Limits.Write}, r, "", time.Time{}, f)
}

// patient is a reply whose deadline holds for each piece.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	write   time.Duration
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(p.write)); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}
