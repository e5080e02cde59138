// Package client is how an operator speaks to an AC: from the CLI, and from
// the lab.
//
// It promises that a server is believed only when its certificate ends in the
// grid's CA and names an AC, that every AC of the context is tried in turn, and
// that what goes wrong says what to do. It keeps no state but connections.
package client

import "errors"

// Errors that callers tell apart.
var (
	// ErrUnreachable: no AC of the context answers.
	ErrUnreachable = errors.New("no AC can be reached")
	// ErrContext: there is no context, or it is not whole.
	ErrContext = errors.New("no usable context")
	// ErrLost: the AC went away in the middle of its answer.
	ErrLost = errors.New("the AC was lost")
)

// Failure is what an AC answered instead of doing what it was asked for.
type Failure struct {
	Status int // HTTP
	Text   string
	Remedy string
}

func (f *Failure) Error() string { return f.Text }

// remedied is an error that knows what can be done about it.
type remedied struct {
	error
	remedy string
}

func (r remedied) Unwrap() error { return r.error }

// Remedy says what can be done about an error of this package, or "".
func Remedy(err error) string {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Remedy
	}
	if r, ok := errors.AsType[remedied](err); ok {
		return r.remedy
	}
	return ""
}

// WithRemedy is an error that knows what can be done about it.
func WithRemedy(err error, remedy string) error {
	if remedy == "" {
		return err
	}
	return remedied{err, remedy}
}
