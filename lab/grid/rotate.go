package grid

import (
	"fmt"

	"github.com/g8os/g8os/core/api"
)

// OldKeys counts who still holds the old key in the rotation of a kind.
func OldKeys(all []api.Rotation, kind string) (int, error) {
	for _, r := range all {
		switch {
		case string(r.Kind) != kind:
		case r.Done != nil:
			return 0, nil
		default:
			return max(len(r.Holders), 1), nil // somebody has yet to say that it is over
		}
	}
	return 0, fmt.Errorf("rotation of %s: there has been none", kind)
}
