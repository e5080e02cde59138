package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// onBehalf is the header by which an AC says for which operator it asks
// another one. It counts only beside an AC's own client certificate: ACs trust
// each other, they have the same keys.
const onBehalf = "G8os-Operator"

// relayWithin bounds how long another AC may take to begin its answer.
const relayWithin = 5 * time.Second

// caller is who a request is of: its certificate's, or the operator for whom
// another AC asks.
func (s *Server) caller(r *http.Request) (id api.Identity, relayed, ok bool) {
	id, ok = s.identity(r)
	if !ok || id.Role != api.RoleAC {
		return id, false, ok
	}
	u, err := url.Parse(r.Header.Get(onBehalf))
	if err != nil {
		return id, true, false
	}
	id, err = api.ParseIdentity([]*url.URL{u})
	return id, true, err == nil && id.Grid == s.opt.Grid && id.Role == api.RoleOperator
}

// peerURL is a path of ours at another AC.
func peerURL(base string, u *url.URL) string { return strings.TrimSuffix(base, "/") + u.EscapedPath() }

// askPeer asks another AC. The answer may go on for as long as ctx.
func (s *Server) askPeer(ctx context.Context, method, target string, actor api.Identity, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(relayWithin, func() { cancel(errors.New("it does not answer")) })
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		cancel(err)
		return nil, err
	}
	req.Header.Set(onBehalf, actor.String())
	res, err := s.opt.Peer.Do(req)
	if !late.Stop() && err == nil {
		_ = res.Body.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel(err)
		return nil, err
	}
	res.Body = ended{res.Body, cancel}
	return res, nil
}

// ended is a body that ends its request's context when it is closed.
type ended struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (e ended) Close() error {
	defer e.cancel(nil)
	return e.ReadCloser.Close()
}
