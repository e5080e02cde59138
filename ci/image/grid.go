package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/g8os/g8os/ci/image/media"
)

// check refuses what a node could not use, before anything is built.
func (g Grid) check() error {
	if g.CA != "" {
		text, err := os.ReadFile(g.CA)
		if err != nil {
			return fmt.Errorf("CA: %w", err)
		}
		if err := checkCA(text); err != nil {
			return fmt.Errorf("CA: %s: %w", g.CA, err)
		}
	}
	if g.NetTOML != "" {
		text, err := os.ReadFile(g.NetTOML)
		if err != nil {
			return fmt.Errorf("NET_TOML: %w", err)
		}
		// what it means is the node's business, which says so and boots on
		if err := toml.Unmarshal(text, &map[string]any{}); err != nil {
			return fmt.Errorf("NET_TOML: %s is no TOML: %w", g.NetTOML, err)
		}
	}
	if strings.ContainsAny(g.Cmdline, "\n\r\x00") {
		return fmt.Errorf("CMDLINE: %q has more than one line", g.Cmdline)
	}
	if g.Key != "" {
		if _, err := readKey(g.Key); err != nil {
			return err
		}
	}
	return nil
}

func checkCA(text []byte) error {
	found := 0
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("has a %s in it; only certificates belong on a boot medium", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		if !c.IsCA {
			return fmt.Errorf("the certificate of %q is not that of a CA", c.Subject)
		}
		found++
	}
	if found == 0 {
		return fmt.Errorf("has no certificate in it (PEM, BEGIN CERTIFICATE)")
	}
	return nil
}

// files are what the boot medium has of the grid.
func (g Grid) files() ([]media.File, error) {
	var files []media.File
	for _, f := range []struct{ from, to string }{{g.CA, "g8os/ca.pem"}, {g.NetTOML, "g8os/net.toml"}} {
		if f.from == "" {
			continue
		}
		text, err := os.ReadFile(f.from)
		if err != nil {
			return nil, err
		}
		files = append(files, media.File{Path: f.to, Text: bytes.Clone(text)})
	}
	return files, nil
}
