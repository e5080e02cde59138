package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/core/api"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a join token: an approval in advance, for a time."`
	List   tokenListCmd   `cmd:"" help:"List join tokens."`
	Revoke tokenRevokeCmd `cmd:"" help:"Make a join token void; who has joined with it stays."`
}

type tokenCreateCmd struct {
	For    time.Duration `default:"10m" help:"How long it is good; up to 720h."`
	Uses   int           `default:"1" help:"How many machines it lets in."`
	Output string        `short:"o" enum:"table,json" default:"table" help:"table (the token alone) or json."`
}

func (tokenCreateCmd) Help() string {
	return `The token is printed once, alone on stdout. Give it to a machine before it asks for
the first time: as /etc/g8os/token, or as kernel argument g8os.token=TOKEN. Once the
machine is enrolled it forgets the token, and its device key counts.

  g8os token create --for 10m --uses 1`
}

// tokenMade is a token with its text, as JSON for scripts.
type tokenMade struct {
	api.JoinToken
	Token string `json:"token"`
}

func (t *tokenCreateCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	made, err := c.CreateToken(s.ctx, api.TokenRequest{ForMS: t.For.Milliseconds(), Uses: t.Uses})
	if err != nil {
		return err
	}
	if t.Output == "json" {
		return writeJSON(s.stdout, tokenMade{made.JoinToken, string(made.Token)})
	}
	fmt.Fprintf(s.stderr, "join token %s, for %d machines, until %s\n", made.ID, made.Uses, made.Expires.Local().Format(time.DateTime))
	_, err = fmt.Fprintln(s.stdout, string(made.Token))
	return err
}

type tokenListCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (t *tokenListCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.Tokens(s.ctx)
	if err != nil {
		return err
	}
	if t.Output == "json" {
		return writeJSON(s.stdout, list)
	}
	w, now := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0), time.Now()
	fmt.Fprintln(w, "TOKEN\tSTATE\tLEFT\tEXPIRES\tMADE\tBY")
	for _, t := range list {
		fmt.Fprintf(w, "%s\t%s\t%d of %d\t%s\t%s\t%s\n", t.ID, t.State, t.Left, t.Uses, until(&t.Expires, now), ago(&t.Created, now), t.By)
	}
	return w.Flush()
}

type tokenRevokeCmd struct {
	ID string `arg:"" help:"Its id, as g8os token list shows it."`
}

func (t *tokenRevokeCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	was, err := c.RevokeToken(s.ctx, t.ID)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "join token %s is %s, %d of %d uses were left\n", was.ID, was.State, was.Left, was.Uses)
	return err
}
