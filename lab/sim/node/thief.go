package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"path/filepath"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
)

// CopyDisk makes the disk a copy of another node's, as it would be after a power
// cut that lost nothing. The node must not have power.
func (n *Node) CopyDisk(from *Node) error {
	if err := copyTree(n.disk, from.disk, "/"); err != nil {
		return fmt.Errorf("copy the disk of %s: %w", from.Name(), err)
	}
	n.disk.SyncAll()
	return nil
}

func copyTree(to, from durable.Disk, dir string) error {
	entries, err := from.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if err := copyEntry(to, from, path); err != nil {
			return err
		}
	}
	return nil
}

func copyEntry(to, from durable.Disk, path string) error {
	st, err := from.Lstat(path)
	if err != nil {
		return err
	}
	switch mode := st.Mode(); {
	case mode.IsDir():
		if err := to.MkdirAll(path, mode.Perm()); err != nil {
			return err
		}
		return copyTree(to, from, path)
	case mode.IsRegular():
		data, err := from.ReadFile(path)
		if err != nil {
			return err
		}
		return durable.Write(to, path, data, mode.Perm())
	}
	target, err := from.Readlink(path)
	if err != nil {
		return err
	}
	return durable.Symlink(to, target, path)
}

// Impersonate has the node ask its AC, with its own device key, for the shares
// and for a certificate of another node: what a machine does that was broken
// into. What comes of it is the AC's to say; nothing is kept.
func (n *Node) Impersonate(id api.NodeID) error {
	c := n.core
	if c == nil || !c.machine.Managed() || c.vault == nil {
		return fmt.Errorf("%s is not managed, so it knows no AC to ask", n.Name())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	c.others--
	c.start(c.others, impostorPatience, func(op *operation) {
		k, err := op.dial(c.machine.Path(), nil)
		if err != nil {
			return
		}
		d := c.vault.Device()
		claim := api.Claim{MACs: []string{id.MAC()}, Hostname: n.Name(), BootID: d.BootID(), Counter: 1 << 40}
		var got api.Unlocked
		_ = d.Post(op.ctx, k, api.PathUnlock, api.PurposeUnlock, claim, &got)
		var issued api.Issued
		body := api.CSR{NodeID: id, DER: csr, BootID: d.BootID(), Counter: 1<<40 + 1}
		_ = d.Post(op.ctx, k, api.PathCertificate, api.PurposeCertificate, body, &issued)
	})
	return nil
}
