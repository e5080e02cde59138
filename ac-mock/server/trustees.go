package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/g8os/g8os/core/api"
)

// Trustees is what the server asks of the book about whom it is to trust, and
// what it can prove.
type Trustees interface {
	AuditChain(ctx context.Context, after uint64) (api.AuditChain, error)
	Tokens(ctx context.Context) ([]api.JoinToken, error)
	CreateToken(ctx context.Context, actor string, q api.TokenRequest) (api.TokenMade, error)
	RevokeToken(ctx context.Context, actor, id string) (api.JoinToken, error)
	Operators(ctx context.Context) ([]api.Operator, error)
	AddOperator(ctx context.Context, actor string, q api.OperatorRequest) (api.OperatorMade, error)
	RevokeOperator(ctx context.Context, actor, name string) (api.Operator, error)
	Recovery(ctx context.Context, actor, ref string, again bool) (api.Recovery, error)
}

// answered makes a handler of something that is done for an operator and has an
// answer.
func answered[T any](s *Server, do func(ctx context.Context, actor string, r *http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		actor, _ := s.identity(r)
		answer, err := do(r.Context(), actor.String(), r)
		if err != nil {
			s.trouble(w, r, err)
			return
		}
		reply(w, http.StatusOK, answer)
	}
}

// asked makes a handler of something that an operator asks for with a body.
func asked[Q, T any](s *Server, do func(ctx context.Context, actor string, q Q) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if err := readJSON(w, r, &q); err != nil {
			fail(w, http.StatusBadRequest, "send what the documentation of core/api says", err)
			return
		}
		answered(s, func(ctx context.Context, actor string, _ *http.Request) (T, error) { return do(ctx, actor, q) })(w, r)
	}
}

// auditChain hands out the audit as it is stored, after ?after=.
func (s *Server) auditChain(w http.ResponseWriter, r *http.Request) {
	after, err := number(r.URL.Query().Get("after"))
	if err != nil {
		fail(w, http.StatusBadRequest, "give a number for after", err)
		return
	}
	answered(s, func(ctx context.Context, _ string, _ *http.Request) (api.AuditChain, error) {
		return s.opt.Registry.AuditChain(ctx, after)
	})(w, r)
}

func (s *Server) tokens(w http.ResponseWriter, r *http.Request) {
	answered(s, func(ctx context.Context, _ string, _ *http.Request) ([]api.JoinToken, error) {
		return s.opt.Registry.Tokens(ctx)
	})(w, r)
}

func (s *Server) createToken(w http.ResponseWriter, r *http.Request) {
	asked(s, s.opt.Registry.CreateToken)(w, r)
}

func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request) {
	answered(s, func(ctx context.Context, actor string, r *http.Request) (api.JoinToken, error) {
		return s.opt.Registry.RevokeToken(ctx, actor, r.PathValue("id"))
	})(w, r)
}

func (s *Server) operators(w http.ResponseWriter, r *http.Request) {
	answered(s, func(ctx context.Context, _ string, _ *http.Request) ([]api.Operator, error) {
		return s.opt.Registry.Operators(ctx)
	})(w, r)
}

func (s *Server) addOperator(w http.ResponseWriter, r *http.Request) {
	asked(s, s.opt.Registry.AddOperator)(w, r)
}

func (s *Server) revokeOperator(w http.ResponseWriter, r *http.Request) {
	answered(s, func(ctx context.Context, actor string, r *http.Request) (api.Operator, error) {
		return s.opt.Registry.RevokeOperator(ctx, actor, r.PathValue("id"))
	})(w, r)
}

// recovery shows the key of the operator's slot; it is in no log.
func (s *Server) recovery(w http.ResponseWriter, r *http.Request) {
	again := r.URL.Query().Get("again")
	if again != "" && again != "1" {
		fail(w, http.StatusBadRequest, "say again=1, or nothing", errors.New("again is "+again))
		return
	}
	answered(s, func(ctx context.Context, actor string, r *http.Request) (api.Recovery, error) {
		return s.opt.Registry.Recovery(ctx, actor, r.PathValue("id"), again == "1")
	})(w, r)
}
