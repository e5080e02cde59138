package verdict

import (
	"errors"
	"fmt"
	"testing"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
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
