package api

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"time"
)

// ChannelKind says what a channel is for.
type ChannelKind string

// The kinds of channels.
const (
	ChannelShell   ChannelKind = "shell"   // a program, with a terminal or with pipes
	ChannelForward ChannelKind = "forward" // a connection that the node opens
	ChannelPut     ChannelKind = "put"     // a file or folder to the node
	ChannelGet     ChannelKind = "get"     // a file or folder from the node
)

// ChannelOpen is the first frame of a channel: what the operator wants. By is
// set by the AC.
type ChannelOpen struct {
	Kind ChannelKind `json:"kind"`
	By   string      `json:"by,omitempty"` // spiffe URI of the operator

	Argv []string          `json:"argv,omitempty"` // shell: empty: the login shell of User
	Env  map[string]string `json:"env,omitempty"`
	User string            `json:"user,omitempty"` // shell: name or number; empty: root
	Term string            `json:"term,omitempty"` // shell: what TERM is; empty: no terminal, but pipes
	Size ChannelSize       `json:"window,omitzero"`

	Address string `json:"address,omitempty"` // forward: HOST:PORT, or unix:/PATH

	Path    string    `json:"path,omitempty"`    // put, get: on the node, absolute
	Name    string    `json:"name,omitempty"`    // put: what it is called if Path is a folder that exists
	Folder  bool      `json:"folder,omitempty"`  // put: a tar stream follows; get: a folder may be sent
	Mode    uint32    `json:"mode,omitempty"`    // put, of a file: permissions
	ModTime time.Time `json:"mod_time,omitzero"` // put, of a file; zero: now
	Bytes   int64     `json:"bytes,omitempty"`   // put: of all files; -1: nobody knows
	OnDisk  int64     `json:"on_disk,omitempty"` // put: what they take there; less than Bytes if they have holes
}

// ChannelSize is the size of a terminal in characters.
type ChannelSize struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// ChannelReady says that a channel is open, and for get what is sent.
type ChannelReady struct {
	Folder  bool      `json:"folder,omitempty"` // a tar stream follows
	Mode    uint32    `json:"mode,omitempty"`   // of the file
	ModTime time.Time `json:"mod_time,omitzero"`
	Bytes   int64     `json:"bytes,omitempty"` // of all files; -1: nobody knows
	OnDisk  int64     `json:"on_disk,omitempty"`
}

// ChannelSum ends the data of a file or of a tar stream: what its sender read.
type ChannelSum struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`         // hex
	Left   int    `json:"left,omitempty"` // of a folder: sockets, devices and pipes that were left out
}

// ChannelEnd is the last frame that a node, or the AC in its place, sends.
type ChannelEnd struct {
	Code  int         `json:"code"`            // of the program; 128+n after signal n; 0: all went well
	Error string      `json:"error,omitempty"` // why it could not be done, or not to its end
	Sum   *ChannelSum `json:"sum,omitempty"`   // put: what the node has written
}

// FrameKind says what a frame of a channel carries.
type FrameKind byte

// The frames of a channel. Data of either side waits for the other to take it:
// no more than ChannelWindow bytes are on their way.
const (
	FrameOpen   FrameKind = 'o' // operator → node, the first: ChannelOpen
	FrameReady  FrameKind = 'r' // node → operator: ChannelReady
	FrameData   FrameKind = 'd' // both ways; of a program: stdin and stdout
	FrameErrors FrameKind = 'e' // node → operator: stderr
	FrameEOF    FrameKind = 'z' // no more data comes this way; of files: ChannelSum
	FrameTaken  FrameKind = 't' // so many bytes of data have been taken (big-endian, 4 bytes)
	FrameResize FrameKind = 'w' // operator → node: ChannelSize
	FrameEnd    FrameKind = 'x' // node → operator, the last: ChannelEnd
)

// Bounds of a channel.
const (
	ChannelWindow = 1 << 20  // bytes of data that were sent and not yet taken, each way
	ChannelChunk  = 32 << 10 // bytes of data in a frame
	MaxChannel    = MaxBody  // bytes in a frame of any other kind
)

// ChannelFrame is one frame. Between operator and AC it is a binary WebSocket
// message (Kind, Data), between AC and node a part of a stream (Kind, length of
// Data in four bytes, Data).
type ChannelFrame struct {
	Kind FrameKind
	Data []byte
}

// JSONFrame makes a frame whose data is v as JSON.
func JSONFrame(k FrameKind, v any) (ChannelFrame, error) {
	data, err := json.Marshal(v)
	if err == nil && len(data) > MaxChannel {
		err = fmt.Errorf("%d bytes, at most %d can be sent", len(data), MaxChannel)
	}
	return ChannelFrame{k, data}, err
}

// Decode reads the JSON of a frame.
func (f ChannelFrame) Decode(into any) error {
	if err := json.Unmarshal(f.Data, into); err != nil {
		return fmt.Errorf("frame %q of a channel: %w", rune(f.Kind), err)
	}
	return nil
}

// AppendMessage appends the frame as a message.
func (f ChannelFrame) AppendMessage(to []byte) []byte {
	return append(append(to, byte(f.Kind)), f.Data...)
}

// ParseChannelFrame reads a frame out of a message, and keeps the message.
func ParseChannelFrame(message []byte) (ChannelFrame, error) {
	if len(message) == 0 {
		return ChannelFrame{}, errors.New("channel: an empty message is no frame")
	}
	f := ChannelFrame{FrameKind(message[0]), message[1:]}
	return f, f.check(len(f.Data))
}

// AppendStream appends the frame as a part of a stream.
func (f ChannelFrame) AppendStream(to []byte) []byte {
	to = append(to, byte(f.Kind))
	return append(binary.BigEndian.AppendUint32(to, uint32(len(f.Data))), f.Data...)
}

// ReadChannelFrame reads a frame out of a stream. At the end of the stream it
// returns io.EOF.
func ReadChannelFrame(r io.Reader) (ChannelFrame, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return ChannelFrame{}, err
	}
	f := ChannelFrame{Kind: FrameKind(head[0])}
	n := int(binary.BigEndian.Uint32(head[1:]))
	if err := f.check(n); err != nil {
		return ChannelFrame{}, err
	}
	f.Data = make([]byte, n)
	if _, err := io.ReadFull(r, f.Data); err != nil {
		return ChannelFrame{}, io.ErrUnexpectedEOF
	}
	return f, nil
}

func (f ChannelFrame) check(n int) error {
	most := MaxChannel
	switch f.Kind {
	case FrameData, FrameErrors:
		most = ChannelChunk
	case FrameTaken:
		most = 4
	case FrameOpen, FrameReady, FrameEOF, FrameResize, FrameEnd:
	default:
		return fmt.Errorf("channel: there are no frames of kind %d", f.Kind)
	}
	if n > most {
		return fmt.Errorf("channel: a frame %q of %d bytes, at most %d are possible", rune(f.Kind), n, most)
	}
	return nil
}

// Check says what is wrong with a request for a channel, or nil.
func (o ChannelOpen) Check() error {
	switch o.Kind {
	case ChannelShell:
		return o.checkShell()
	case ChannelForward:
		return o.checkForward()
	case ChannelPut, ChannelGet:
		return o.checkFile()
	}
	return fmt.Errorf("channel of kind %q: want shell, forward, put or get", Shown(string(o.Kind), 32))
}

func (o ChannelOpen) checkShell() error {
	if len(o.Argv) > 0 && o.Argv[0] == "" {
		return errors.New("the command is empty")
	}
	for name, value := range o.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return fmt.Errorf("variable %q: a name has no =, and neither it nor its value a zero byte", name)
		}
	}
	return nil
}

func (o ChannelOpen) checkForward() error {
	if name, ok := strings.CutPrefix(o.Address, "unix:"); ok {
		if !path.IsAbs(name) {
			return fmt.Errorf("address %q: want unix:/PATH", o.Address)
		}
		return nil
	}
	if _, port, err := net.SplitHostPort(o.Address); err != nil || port == "" {
		return fmt.Errorf("address %q: want HOST:PORT or unix:/PATH", o.Address)
	}
	return nil
}

func (o ChannelOpen) checkFile() error {
	switch {
	case !path.IsAbs(o.Path) || strings.Contains(o.Path, "\x00"):
		return fmt.Errorf("path %q: want one that begins with /", o.Path)
	case o.Kind == ChannelGet:
		return nil
	case o.Name == "" || o.Name == "." || o.Name == ".." || strings.ContainsAny(o.Name, "/\x00"):
		return fmt.Errorf("name %q: want that of a file, without its folder", o.Name)
	case o.Bytes < -1 || o.OnDisk < 0:
		return fmt.Errorf("a size of %d bytes, %d on disk: want 0 or more", o.Bytes, o.OnDisk)
	}
	return nil
}

// Summary is what an audit log says of a channel: whom it reaches, and no
// argument, which may be secret.
func (o ChannelOpen) Summary() string {
	const most = 256
	switch o.Kind {
	case ChannelShell:
		what := "login shell"
		if len(o.Argv) > 0 {
			what = fmt.Sprintf("%s with %d arguments", Shown(o.Argv[0], most), len(o.Argv)-1)
		}
		if o.User != "" {
			what += " as " + Shown(o.User, most)
		}
		return "shell: " + what
	case ChannelForward:
		return "forward: to " + Shown(o.Address, most)
	}
	return string(o.Kind) + ": " + Shown(o.Path, most)
}
