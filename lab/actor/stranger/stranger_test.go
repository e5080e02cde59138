package stranger_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/actor"
	"github.com/g8os/g8os/lab/actor/internal/segment"
	"github.com/g8os/g8os/lab/actor/stranger"
)

func TestMain(m *testing.M) { segment.Main(m) }

const there = "10.254.254.254:8966"

func stand(t *testing.T, kind stranger.Kind) (*segment.Peer, *segment.Events) {
	t.Helper()
	peer := segment.New(t, "act0", "10.254.254.254/24")
	peer.SetAddress(t, "10.254.254.9/24")
	return peer, segment.Start(t, func(ctx context.Context, w io.Writer) error {
		return stranger.Run(ctx, stranger.Config{Listen: there, Kind: kind, Grid: "grid.example", Log: actor.Log(w)})
	})
}

func post(t *testing.T, c net.Conn, body string) *http.Response {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DialContext:    func(context.Context, string, string) (net.Conn, error) { return c, nil },
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Post("http://"+there+"/node/unlock", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

func TestItNotesWhateverItIsTold(t *testing.T) {
	for _, kind := range []stranger.Kind{stranger.KindSelfSigned, stranger.KindImpostor, stranger.KindHTTP} {
		t.Run(string(kind), func(t *testing.T) {
			peer, events := stand(t, kind)
			c := peer.Dial(t, "tcp", there)
			if kind != stranger.KindHTTP {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // a node that trusts anybody
			}
			if resp := post(t, c, `{"macs":["02:00:00:00:00:07"]}`); resp.StatusCode != http.StatusOK {
				t.Errorf("a stranger answers %s, want 200", resp.Status)
			}
			events.Wait(t, "request", map[string]any{"method": "POST", "path": "/node/unlock", "body": `{"macs":["02:00:00:00:00:07"]}`})
			_ = c.Close()
			raw, _ := base64.StdEncoding.DecodeString(fmt.Sprint(events.Wait(t, "connection", nil)["raw"]))
			if clear := strings.Contains(string(raw), "02:00:00:00:00:07"); clear != (kind == stranger.KindHTTP) {
				t.Errorf("the MAC is in the clear: %v", clear)
			}
		})
	}
}

func TestItIsNoAC(t *testing.T) {
	for _, kind := range []stranger.Kind{stranger.KindSelfSigned, stranger.KindImpostor} {
		t.Run(string(kind), func(t *testing.T) {
			peer, events := stand(t, kind)
			var shown []*x509.Certificate
			c := tls.Client(peer.Dial(t, "tcp", there), &tls.Config{
				InsecureSkipVerify: true,
				VerifyConnection: func(cs tls.ConnectionState) error {
					shown = cs.PeerCertificates
					return fmt.Errorf("as a node would say")
				},
			})
			if c.Handshake() == nil {
				t.Fatal("the handshake went through")
			}
			if h := events.Wait(t, "handshake", nil); h["error"] == "" {
				t.Error("it believes that the handshake went through")
			}
			id, err := api.ParseIdentity(shown[0].URIs)
			if kind == stranger.KindImpostor && (err != nil || id.String() != "spiffe://grid.example/ac/ac1") {
				t.Errorf("an impostor says it is %v, %v", id, err)
			}
			if kind == stranger.KindImpostor && shown[0].CheckSignatureFrom(shown[1]) != nil {
				t.Error("an impostor's own chain does not hold")
			}
			for _, e := range events.All() {
				if e["msg"] == "request" {
					t.Errorf("it notes a request that nobody made: %v", e)
				}
			}
		})
	}
}

func TestWrongUse(t *testing.T) {
	err := stranger.Run(t.Context(), stranger.Config{Listen: "10.9.9.9:8966", Kind: stranger.KindHTTP, Log: actor.Log(io.Discard)})
	if err == nil || !strings.Contains(err.Error(), "has the interface that address?") {
		t.Errorf("an address of somebody else: %v", err)
	}
	err = stranger.Run(t.Context(), stranger.Config{Listen: "127.0.0.1:0", Kind: "friend", Log: actor.Log(io.Discard)})
	if err == nil || !strings.Contains(err.Error(), "want self-signed, impostor or http") {
		t.Errorf("an unknown kind: %v", err)
	}
}
