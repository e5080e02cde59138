package ca_test

import (
	"context"

	"github.com/g8os/g8os/ac-mock/store"
)

// refuseWrites is a store without a quorum.
type refuseWrites struct{ store.Store }

func (*refuseWrites) Txn(context.Context, store.Txn) (int64, error) { return 0, store.ErrUnavailable }
