package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/g8os/g8os/ac-mock/audit/chain"
	"github.com/g8os/g8os/core/api"
)

// VerifyAudit reads the whole audit and checks its chain itself: the AC's word is
// not taken for it. noted is a mark of an earlier time, or the zero mark. Errors
// wrap chain.ErrBroken where the chain is.
func (c *Client) VerifyAudit(ctx context.Context, noted api.AuditMark) (chain.Report, error) {
	return chain.Verify(func(after uint64) (part api.AuditChain, err error) {
		err = c.call(ctx, http.MethodGet, fmt.Sprintf("%s?after=%d", api.PathAuditChain, after), nil, &part)
		return part, err
	}, noted)
}

// Recovery returns the recovery key of a node's volume; again says that it was
// seen before and is meant.
func (c *Client) Recovery(ctx context.Context, ref string, again bool) (api.Recovery, error) {
	path := at(api.PathRecovery, ref)
	if again {
		path += "?again=1"
	}
	var key api.Recovery
	return key, c.call(ctx, http.MethodPost, path, nil, &key)
}

// Tokens lists the join tokens.
func (c *Client) Tokens(ctx context.Context) ([]api.JoinToken, error) {
	var list []api.JoinToken
	return list, c.call(ctx, http.MethodGet, api.PathTokens, nil, &list)
}

// CreateToken makes a join token.
func (c *Client) CreateToken(ctx context.Context, q api.TokenRequest) (api.TokenMade, error) {
	var made api.TokenMade
	return made, c.call(ctx, http.MethodPost, api.PathTokens, q, &made)
}

// RevokeToken makes a join token void.
func (c *Client) RevokeToken(ctx context.Context, id string) (api.JoinToken, error) {
	var was api.JoinToken
	return was, c.call(ctx, http.MethodDelete, at(api.PathToken, id), nil, &was)
}

// Operators lists the operators.
func (c *Client) Operators(ctx context.Context) ([]api.Operator, error) {
	var list []api.Operator
	return list, c.call(ctx, http.MethodGet, api.PathOperators, nil, &list)
}

// AddOperator has an operator's certificate issued.
func (c *Client) AddOperator(ctx context.Context, q api.OperatorRequest) (api.OperatorMade, error) {
	var made api.OperatorMade
	return made, c.call(ctx, http.MethodPost, api.PathOperators, q, &made)
}

// RevokeOperator makes all certificates of an operator void.
func (c *Client) RevokeOperator(ctx context.Context, name string) (api.Operator, error) {
	var was api.Operator
	return was, c.call(ctx, http.MethodDelete, at(api.PathOperator, name), nil, &was)
}
