package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// Hello answers GET /node/hello. It counts only when it comes over TLS whose
// chain ends in the pinned CA.
type Hello struct {
	Grid    string    `json:"grid"`
	AC      string    `json:"ac"`   // name of this AC
	Time    time.Time `json:"time"` // the AC's clock; a node whose own is plainly wrong or behind sets it from here
	Version string    `json:"version"`
	Faults  []string  `json:"faults,omitempty"` // faults armed at this AC, so that they are visible everywhere
}

// Whereabouts says how and where a node reaches its AC.
type Whereabouts struct {
	Phase     string `json:"phase"`             // a Phase of core/boot
	Way       string `json:"way"`               // configured | dhcp | fallback
	Interface string `json:"interface"`         // the node's interface
	Address   string `json:"address"`           // the node's address with prefix length
	Version   string `json:"version,omitempty"` // of its g8os_core
}

// maxWhere bounds each word of a Whereabouts; the longest honest one is an IPv6
// address with its prefix.
const maxWhere = 64

// Shown returns w fit to be kept and shown: nobody has checked who says it, so
// its words are short and hold nothing that a terminal obeys.
func (w Whereabouts) Shown() Whereabouts {
	return Whereabouts{Phase: Shown(w.Phase, maxWhere), Way: Shown(w.Way, maxWhere), Interface: Shown(w.Interface, maxWhere), Address: Shown(w.Address, maxWhere), Version: Shown(w.Version, maxWhere)}
}

// Shown returns text of a stranger fit for logs, tables and a bounded store: at
// most most bytes, printable ASCII, "?" for anything else.
func Shown(s string, most int) string {
	b := []byte(s[:min(len(s), most)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// Claim is the body of an unlock request: what the node says about itself. It
// selects the record and is bound by the signature; it authorises nothing.
type Claim struct {
	MACs        []string    `json:"macs"` // canonical, sorted, physical interfaces only
	Hostname    string      `json:"hostname"`
	BootID      string      `json:"boot_id"` // random, 32 hex digits, new at every start of the machine
	Counter     uint64      `json:"counter"` // grows with every unlock and certificate request that this disk ever made
	Generations []uint32    `json:"generations"`
	Where       Whereabouts `json:"where"`
	// Token is the join token that an operator gave to a machine which no AC
	// knows yet; nil: none. It approves, it does not select.
	Token Secret `json:"token,omitempty"`
	TPM   bool   `json:"tpm,omitempty"` // a TPM keeps the device key
}

// Share is the AC's half of a node's key material for one generation of the
// key-slot file: KEK = HKDF(disk share, AC share).
type Share struct {
	Generation uint32 `json:"generation"`
	Share      Secret `json:"share"` // 32 bytes
}

// Unlocked answers an unlock request that was granted. A node that named no
// generations gets one share to make its volume with, and the recovery key
// until it has confirmed; a node that named some gets the shares of those.
type Unlocked struct {
	NodeID   NodeID  `json:"node_id"`
	Grid     string  `json:"grid"`
	Shares   []Share `json:"shares"`
	Recovery Secret  `json:"recovery,omitempty"` // 32 bytes, for the operator's slot
}

// Confirm is the body of a confirmation: the key-slot file on disk opens with
// this generation. From then on the AC hands the recovery key to no node.
type Confirm struct {
	NodeID     NodeID `json:"node_id"`
	Generation uint32 `json:"generation"`
	Alone      bool   `json:"alone,omitempty"` // no older generation is on the disk: the AC forgets their shares
}

// CSR is the body of a certificate request. It counts like a Claim, so that a
// copy of the disk cannot become the node without being noticed.
type CSR struct {
	NodeID  NodeID `json:"node_id"`
	DER     []byte `json:"der"` // PKCS #10; only its public key is used
	BootID  string `json:"boot_id"`
	Counter uint64 `json:"counter"`
}

// Issued answers a certificate request.
type Issued struct {
	Chain    []byte    `json:"chain"`    // PEM, leaf first, without the root
	Accepted []byte    `json:"accepted"` // PEM, the CAs the node is to accept for ACs, beside the pinned one
	NotAfter time.Time `json:"not_after"`
	Settings Settings  `json:"settings"`
}

// Settings is what the AC decides for a node and may change at any time.
type Settings struct {
	AuthorizedKeys []string `json:"authorized_keys"` // OpenSSH lines for root
	// Grace lets it open its volume without an AC, for a while.
	Grace Grace `json:"grace,omitzero"`
	// RevokedCAs are issuing CAs of which no AC is believed any more, by their
	// subject key ids (RFC 5280, section 4.2.1.2), hex, sorted.
	RevokedCAs []string `json:"revoked_cas,omitempty"`
}

// Refusal is the body of every refused request of a node: one status (403),
// one size, no reason. The reason is in the AC's audit log.
type Refusal struct {
	Error        string `json:"error"`          // always "refused"
	RetryAfterMS int    `json:"retry_after_ms"` // constant: when to ask again
}

// Refused is the only Refusal there is.
var Refused = Refusal{Error: "refused", RetryAfterMS: 2000}

// FrameType names a session frame.
type FrameType string

// Session frames. The session is a WebSocket (RFC 6455) with one JSON Frame a
// text message; what its binary messages are, their first byte says (WireOutput,
// WireMux). Output may come either way.
//
// When a session begins, the AC names every unfinished job of the node again
// (exec), with the highest Seq that it has of it, and with State running if it
// has begun as far as the ACs know: another one may have its output. A node that
// knows the job goes on. One that does not, although Seq is above 0 or State is
// running, has lost it: it does not start it again, but answers exit with State
// lost, an Error and the next Seq. A cancel of a job that it does not know it
// answers with exit and State cancelled, and does not start it if it comes later.
// Started has no Seq of its own, and is not acknowledged: it is sent again with
// every session until the job has ended.
const (
	FrameHeartbeat FrameType = "heartbeat" // node → AC: Where; the AC answers with the same Seq, and its Time
	FrameSettings  FrameType = "settings"  // AC → node
	FrameExec      FrameType = "exec"      // AC → node: start Job
	FrameCancel    FrameType = "cancel"    // AC → node: stop Job
	FrameOutput    FrameType = "output"    // node → AC: Data of Job on Stream, numbered Seq from 1 within the job
	FrameExit      FrameType = "exit"      // node → AC: Job has ended; last Seq of the job
	FrameAck       FrameType = "ack"       // AC → node: output and exit of Job up to Seq are safe
	FrameStarted   FrameType = "started"   // node → AC: Job has begun, and that is on its disk
	FrameEvent     FrameType = "event"     // node → AC: Event, until it is acknowledged (ack with its Seq and no Job)
	FrameMetrics   FrameType = "metrics"   // node → AC: Metrics, now and then; the last one counts
	FrameRotate    FrameType = "rotate"    // AC → node: replace the key that Rotate names; node → AC: how that went
)

// WebSocket statuses with which an AC ends a session (RFC 6455, section 7.4.2:
// 4000 to 4999 are for private use).
const (
	CloseReplaced = 4001 // a newer session of this node took over
	CloseRevoked  = 4003 // the certificate does not hold any more
	CloseSilent   = 4008 // nothing was heard for too long
	CloseMessage  = 4009 // a message that no node sends
)

// Frame is one message of a session. Which fields count depends on Type.
type Frame struct {
	Type     FrameType    `json:"type"`
	Seq      uint64       `json:"seq,omitempty"`
	Job      string       `json:"job,omitempty"` // idempotent id: the same job is started once
	Where    *Whereabouts `json:"where,omitempty"`
	Settings *Settings    `json:"settings,omitempty"`
	Exec     *ExecRequest `json:"exec,omitempty"`
	Rotate   *Rotate      `json:"rotate,omitempty"`
	Stream   string       `json:"stream,omitempty"` // stdout | stderr
	Data     []byte       `json:"data,omitempty"`
	Event    *NodeEvent   `json:"event,omitempty"`
	Metrics  *Metrics     `json:"metrics,omitempty"`
	State    JobState     `json:"state,omitempty"`   // exit: how Job has ended; exec: running if it has begun before
	Time     *time.Time   `json:"time,omitempty"`    // started, exit: when, by the node's clock; heartbeat: the AC's
	Dropped  int64        `json:"dropped,omitempty"` // exit: bytes of output that were too many to keep; output: so far, all of them before Data
	Again    bool         `json:"again,omitempty"`   // exit: handed out again after a crash, and not run again
	Code     int          `json:"code,omitempty"`    // exit code; 128+n after signal n
	Error    string       `json:"error,omitempty"`   // why a job could not be run
}

// ExecRequest asks for a command to be run on a node.
type ExecRequest struct {
	Argv      []string          `json:"argv"`
	Env       map[string]string `json:"env,omitempty"`
	Dir       string            `json:"dir,omitempty"`
	TimeoutMS int64             `json:"timeout_ms,omitempty"` // 0: no limit
	User      string            `json:"user,omitempty"`       // name or number; empty: root
	Stdin     []byte            `json:"stdin,omitempty"`
	Script    []byte            `json:"script,omitempty"`  // run as a file, with Argv as its arguments; its first line says by what
	Builtin   Builtin           `json:"builtin,omitempty"` // instead of Argv and Script
	Args      json.RawMessage   `json:"args,omitempty"`    // of the builtin
}

// Secret is key material. It prints as [secret] wherever it is formatted or
// logged; only JSON on the wire carries its bytes.
type Secret []byte

const redacted = "[secret]"

// Format keeps key material out of text, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue keeps a join token out of logs of the JSON handler.
func (c Claim) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("macs", c.MACs), slog.String("hostname", c.Hostname), slog.Uint64("counter", c.Counter))
}

// LogValue keeps a granted answer out of logs: slog's JSON handler would write
// the keys inside.
func (u Unlocked) LogValue() slog.Value {
	return slog.GroupValue(slog.String("node_id", string(u.NodeID)), slog.Int("shares", len(u.Shares)))
}

// LogValue keeps the key out of logs of the JSON handler.
func (s Share) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("generation", uint64(s.Generation)), slog.Any("share", s.Share))
}

// LogValue keeps key material out of logs, also of the JSON handler.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON writes the bytes as base64: for the wire only.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal([]byte(s)) }

// UnmarshalJSON reads base64.
func (s *Secret) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, (*[]byte)(s)) }
