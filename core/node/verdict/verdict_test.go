package verdict

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/find"
	"github.com/g8os/g8os/core/managed"
	"github.com/g8os/g8os/core/secure"
	"github.com/g8os/g8os/core/unlock"
)

// TestOf holds each kind of error against what it makes the machine do.
func TestOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want boot.FailureKind
	}{
		{errors.New("connection refused"), boot.Unreachable},
		{api.ErrNotAC, boot.Unreachable},
		{unlock.ErrAnswer, boot.Unreachable},
		{api.ErrRefused, boot.Refused},
		{managed.ErrDistrusted, boot.Distrusted},
		{secure.ErrMissing, boot.Distrusted},
		{secure.ErrDamaged, boot.Distrusted},
		{secure.ErrExpired, boot.Distrusted},
		{secure.ErrOther, boot.Distrusted},
		{secure.ErrNotYet, boot.Distrusted}, // the clock has been compared
		{unlock.ErrOperator, boot.Broken},
		{ErrNoCA, boot.Broken},
	} {
		if got := Of(fmt.Errorf("while trying: %w", tt.err)); got.Kind != tt.want || got.Err == "" {
			t.Errorf("%v: %+v, want kind %d with its text", tt.err, got, tt.want)
		}
	}
}

// When an AC says when it wants to be asked again, the machine hears of it.
func TestAfter(t *testing.T) {
	err := fmt.Errorf("unlock: %w", &find.StatusError{Path: api.PathUnlock, Status: 503, After: 4 * time.Second})
	if got := Of(err); got.Kind != boot.Unreachable || got.After != 4*time.Second {
		t.Errorf("got %+v", got)
	}
}
