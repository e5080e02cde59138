package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

type operatorCmd struct {
	Add    operatorAddCmd    `cmd:"" help:"Let somebody operate the grid, in a role."`
	List   operatorListCmd   `cmd:"" help:"List operators."`
	Revoke operatorRevokeCmd `cmd:"" help:"End an operator: his certificates do not count any more."`
}

type operatorAddCmd struct {
	Name string        `arg:"" help:"1 to 32 of a-z, 0-9 and dashes."`
	Role string        `required:"" enum:"viewer,operator,admin" help:"viewer sees; operator also approves and runs commands; admin does everything."`
	CSR  string        `name:"csr" type:"existingfile" help:"A certificate request (PEM or DER) with the operator's own key. Default: a key is made here." placeholder:"FILE"`
	For  time.Duration `default:"8760h" help:"How long the certificate is good; up to 17520h."`
	Out  string        `help:"Folder to make, for the credentials and a context. Default: NAME." placeholder:"DIR"`
}

func (operatorAddCmd) Help() string {
	return `Without --csr it makes a folder with a key, a certificate and a context, to be carried to
the operator: he copies it to ~/.config/g8os, or says --context DIR/NAME.toml. With --csr
the key never leaves the operator: the certificate is printed on stdout.
One who has the role already gets one more certificate; that is how it is renewed.

  g8os operator add bob --role operator
  g8os operator add eve --role viewer --csr eve.csr >eve.crt`
}

func (o *operatorAddCmd) Run(s *session) error {
	if o.CSR != "" {
		return o.byRequest(s)
	}
	dir := o.Out
	if dir == "" {
		dir = o.Name
	}
	if err := os.Mkdir(dir, 0o700); err != nil { // before anybody is let in
		return exitError{exitUsage, fmt.Errorf("folder for the credentials: %w; choose another one with --out", err)}
	}
	if err := o.intoFolder(s, dir); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	_, err := fmt.Fprintf(s.stdout, "%s may operate the grid as %s; credentials and context are in %s\n", o.Name, o.Role, dir)
	return err
}

// intoFolder makes a key, has it certified, and writes both into a folder.
func (o *operatorAddCmd) intoFolder(s *session, dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return fmt.Errorf("make a certificate request: %w", err)
	}
	own, err := client.Find(s.context, s.getenv)
	if err != nil {
		return err
	}
	made, err := o.ask(s, csr)
	if err != nil {
		return err
	}
	name := func(ext string) string { return filepath.Join(dir, o.Name+ext) }
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := errors.Join(
		os.WriteFile(name(".key"), private, 0o600), os.WriteFile(name(".crt"), made.Chain, 0o600),
		os.WriteFile(filepath.Join(dir, "ca.pem"), made.Root, 0o644),
		client.Context{AC: own.AC, CA: "ca.pem", Certificate: o.Name + ".crt", Key: o.Name + ".key"}.Save(name(".toml"), 0o600),
	); err != nil {
		return fmt.Errorf("the certificate was issued, but cannot be kept (g8os operator revoke %s): %w", o.Name, err)
	}
	return nil
}

func (o *operatorAddCmd) byRequest(s *session) error {
	text, err := os.ReadFile(o.CSR)
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("certificate request: %w", err)}
	}
	if block, _ := pem.Decode(text); block != nil {
		text = block.Bytes
	}
	if _, err := x509.ParseCertificateRequest(text); err != nil {
		return exitError{exitUsage, fmt.Errorf("certificate request %s: %w; make one with openssl req -new", o.CSR, err)}
	}
	made, err := o.ask(s, text)
	if err != nil {
		return err
	}
	_, err = s.stdout.Write(made.Chain)
	return err
}

func (o *operatorAddCmd) ask(s *session, csr []byte) (api.OperatorMade, error) {
	c, err := s.dial()
	if err != nil {
		return api.OperatorMade{}, err
	}
	defer c.Close()
	return c.AddOperator(s.ctx, api.OperatorRequest{Name: o.Name, Role: o.Role, CSR: csr, ForMS: o.For.Milliseconds()})
}

type operatorListCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (o *operatorListCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.Operators(s.ctx)
	if err != nil {
		return err
	}
	if o.Output == "json" {
		return writeJSON(s.stdout, list)
	}
	w, now := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0), time.Now()
	fmt.Fprintln(w, "NAME\tROLE\tSTATE\tCERTIFICATE\tMADE\tBY")
	for _, p := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.Role, p.State, until(&p.Expires, now), ago(&p.Created, now), p.By)
	}
	return w.Flush()
}

type operatorRevokeCmd struct {
	Name string `arg:"" help:"As g8os operator list shows it."`
}

func (o *operatorRevokeCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	was, err := c.RevokeOperator(s.ctx, o.Name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s (%s) is %s: %d certificates do not count any more\n", was.Name, was.Role, was.State, len(was.Serials))
	return err
}
