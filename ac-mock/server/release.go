package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/releases"
	"github.com/g8os/g8os/core/api"
)

// Releases is what the server asks of the shelf of releases (ac-mock/releases).
type Releases interface {
	Add(ctx context.Context, actor string, r api.Release) (api.Release, error)
	Receive(ctx context.Context, sum string, file io.Reader) error
	Open(sum string) (*os.File, error)
	Known(ctx context.Context, sum string) (releases.Known, error)
}

// noReleases is an AC that has none.
type noReleases struct{}

var errNoReleases = errors.New("this AC was started without releases")

func (noReleases) Add(_ context.Context, _ string, r api.Release) (api.Release, error) {
	return r, errNoReleases
}
func (noReleases) Receive(context.Context, string, io.Reader) error { return errNoReleases }
func (noReleases) Open(string) (*os.File, error)                    { return nil, errNoReleases }
func (noReleases) Known(context.Context, string) (k releases.Known, err error) {
	return k, errNoReleases
}

// receiveRelease takes the file of a release that was described before.
func (s *Server) receiveRelease(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Time{}) // the reply comes after a body that may take its time
	if err := s.opt.Releases.Receive(r.Context(), r.PathValue("sum"), &patientBody{r.Body, c, s.opt.Limits.Read}); err != nil {
		s.trouble(w, r, err)
		return
	}
	_ = c.SetWriteDeadline(time.Now().Add(s.opt.Limits.Write))
	reply(w, http.StatusOK, map[string]bool{"ok": true})
}

// patientBody is a request whose deadline holds for each piece.
type patientBody struct {
	io.Reader
	control *http.ResponseController
	read    time.Duration
}

func (p *patientBody) Read(b []byte) (int, error) {
	if err := p.control.SetReadDeadline(time.Now().Add(p.read)); err != nil {
		return 0, err
	}
	return p.Reader.Read(b)
}

// sendRelease is for other ACs.
func (s *Server) sendRelease(w http.ResponseWriter, r *http.Request) {
	f, err := s.opt.Releases.Open(r.PathValue("sum"))
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	defer f.Close()
	http.ServeContent(&patient{w, http.NewResponseController(w), s.opt.Limits.Write}, r, "", time.Time{}, f)
}

// file finds what a node may fetch by its hash: a layer, or a release, which
// may be with another AC.
func (s *Server) file(ctx context.Context, sum string) (*os.File, error) {
	err := errors.New("this AC has no layers")
	if s.opt.Layer != nil {
		var f *os.File
		if f, err = s.opt.Layer(sum); err == nil {
			return f, nil
		}
	}
	if f, err := s.opt.Releases.Open(sum); err == nil {
		return f, nil
	}
	k, unknown := s.opt.Releases.Known(ctx, sum)
	if unknown != nil {
		return nil, errors.Join(err, unknown)
	}
	if err := s.bring(ctx, k); err != nil {
		return nil, err
	}
	return s.opt.Releases.Open(sum)
}

// bring fetches a release from the AC that has it.
func (s *Server) bring(ctx context.Context, k releases.Known) error {
	s.bringing.Lock() // many nodes ask at once
	defer s.bringing.Unlock()
	if f, err := s.opt.Releases.Open(k.Release.Sum); err == nil {
		return f.Close()
	}
	err := fmt.Errorf("release %.12s: %w: no AC that is there has its file", k.Release.Sum, releases.ErrNone)
	if s.opt.Cluster == nil || s.opt.Peer == nil {
		return err
	}
	for _, p := range s.opt.Cluster.Others() {
		if failed := s.bringFrom(ctx, p.URL, k); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", p.Name, failed))
			continue
		}
		s.opt.Log.Info("release brought from another AC", "sha256", k.Release.Sum, "ac", p.Name)
		return nil
	}
	return err
}

// bringFrom asks in the name of the operator who brought the release to an AC.
func (s *Server) bringFrom(ctx context.Context, base string, k releases.Known) error {
	target := strings.TrimSuffix(base, "/") + strings.Replace(api.PathReleaseSum, "{sum}", url.PathEscape(k.Release.Sum), 1)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	req.Header.Set(onBehalf, k.By)
	res, err := s.opt.Peer.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s", res.Status)
	}
	return s.opt.Releases.Receive(ctx, k.Release.Sum, res.Body)
}
