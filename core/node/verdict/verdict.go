// Package verdict sorts what went wrong on the way to an AC by what the boot
// machine is to do about it.
//
// It promises that a node's shell and a simulated node sort alike. It decides
// no more than the kind: what follows from it is for core/boot.
package verdict

import (
	"errors"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/find"
	"github.com/g8os/g8os/core/managed"
	"github.com/g8os/g8os/core/secure"
	"github.com/g8os/g8os/core/unlock"
)

// ErrNoCA is the one thing a node cannot do without.
var ErrNoCA = errors.New("no CA is pinned")

// Of sorts an error of core/find, unlock, secure or managed, or ErrNoCA. What
// it does not know is worth another try, or another AC. A certificate that is
// not valid yet does not hold either: the shell has compared the clock before
// it says so.
func Of(err error) boot.Failure {
	f := boot.Failure{Kind: boot.Unreachable, Err: err.Error(), Late: errors.Is(err, find.ErrLate)}
	if busy, ok := errors.AsType[*find.StatusError](err); ok {
		f.After = busy.After
	}
	switch {
	case errors.Is(err, api.ErrRefused):
		f.Kind = boot.Refused
	case errors.Is(err, managed.ErrDistrusted), errors.Is(err, secure.ErrMissing), errors.Is(err, secure.ErrDamaged),
		errors.Is(err, secure.ErrExpired), errors.Is(err, secure.ErrOther), errors.Is(err, secure.ErrNotYet):
		f.Kind = boot.Distrusted
	case errors.Is(err, unlock.ErrOperator), errors.Is(err, ErrNoCA):
		f.Kind = boot.Broken
	}
	return f
}
