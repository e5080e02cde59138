package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/support"
	"github.com/g8os/g8os/ac-mock/support/supporttest"
	"github.com/g8os/g8os/core/api"
)

// A bundle has all its parts, and no secret that went through the AC: the log
// says everything that it can say.
func TestSupportBundle(t *testing.T) {
	recent := support.NewRecent(1 << 20)
	r := newRealRigWith(t, enrol.ModeOpen, func(o *Options) {
		o.Log = slog.New(slog.NewJSONHandler(recent, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Support = []support.Part{recent.Part("log.txt")}
	})
	n := newNode(r, 1)
	var unlocked api.Unlocked
	if s := n.post(api.PathUnlock, n.sign(api.PurposeUnlock, n.nonce(), n.claim()), &unlocked); s != http.StatusOK {
		t.Fatalf("unlock: %d", s)
	}
	cert := n.certificate()
	s := n.session(cert)
	s.heartbeat(1, "managed")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	must(t, err)

	_, err = r.operator("admin.ann").Quarantine(t.Context(), n.mac)
	must(t, err)
	var out bytes.Buffer
	_, err = r.operator("admin.ann").Support(t.Context(), &out)
	must(t, err)
	files := supporttest.Unpack(t, out.Bytes())
	for name, holds := range map[string]string{
		"version.json": `"test.grid"`, "ready.json": "true", "nodes.json": n.mac, "audit.json": `"unlock"`, "faults.json": "[",
		"metrics.txt": "g8os_ac_sessions_opened_total 1\n", "goroutines.txt": "goroutine profile", "log.txt": "quarantine", "rotations.json": "",
	} {
		if text, ok := files[name]; !ok || !strings.Contains(text, holds) {
			t.Errorf("%s: %.300q, want %q in it", name, text, holds)
		}
	}
	supporttest.Clean(t, files, map[string][]byte{
		"the device key": n.private.Seed(), "the device key with its public half": ed25519.PrivateKey(n.private),
		"the share": unlocked.Shares[0].Share, "the client key": key,
	})
}

// A bundle that cannot be sent whole is an error at the other end.
func TestSupportBundleIsWholeOrFails(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Support = []support.Part{{Name: "x", Write: func(context.Context, io.Writer) error { panic(http.ErrAbortHandler) }}}
	})
	var out bytes.Buffer
	if _, err := r.operator("admin.ann").Support(t.Context(), &out); err == nil {
		t.Error("a bundle that broke off was taken for whole")
	}
	if _, err := r.operator("viewer.vic").Support(t.Context(), &out); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a viewer: %v, want a refusal", err)
	}
}
