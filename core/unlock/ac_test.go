package unlock

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/g8os/g8os/core/api"
)

func material(name string) api.Secret {
	sum := sha256.Sum256([]byte(name))
	return sum[:]
}

// ac is an AC with one connection. It gives the same shares in every process.
type ac struct {
	nonce     []byte
	refuse    map[string]error // by path
	share     func(uint32) api.Secret
	node      api.NodeID
	recovery  api.Secret
	counters  []uint64
	confirmed []uint32
	alone     uint32 // generation that is alone on the disk, as it was told
	dropped   uint32 // highest generation whose share is gone
	newest    uint32 // highest generation for which there is a share; 0: any
	left      int    // requests until it is away; below 0: never
}

var errAway = errors.New("no AC answers")

func newAC() *ac {
	return &ac{node: "020000000001", recovery: material("recovery"), refuse: map[string]error{}, left: -1,
		share: func(g uint32) api.Secret { return material(fmt.Sprint("share ", g)) }}
}

func (a *ac) Binding() ([]byte, error) { return material("binding"), nil }

func (a *ac) Post(_ context.Context, path string, in, out any) error {
	if a.left == 0 {
		return errAway
	}
	a.left--
	if err := a.refuse[path]; err != nil {
		return err
	}
	if path == api.PathChallenge {
		a.nonce = make([]byte, api.NonceSize)
		rand.Read(a.nonce)
		out.(*api.Challenge).Nonce = a.nonce
		return nil
	}
	nonce := a.nonce
	a.nonce = nil // good once
	if path == api.PathConfirm {
		var c api.Confirm
		err := in.(api.Signed).Verify(api.PurposeConfirm, material("binding"), nonce, &c)
		a.confirmed = append(a.confirmed, c.Generation)
		if c.Alone {
			a.alone = c.Generation
		}
		return err
	}
	var c api.Claim
	if err := in.(api.Signed).Verify(api.PurposeUnlock, material("binding"), nonce, &c); err != nil {
		return err
	}
	a.counters = append(a.counters, c.Counter)
	granted := api.Unlocked{NodeID: a.node, Grid: "lab"}
	if len(c.Generations) == 0 {
		granted.Recovery, c.Generations = a.recovery, []uint32{1}
	}
	for _, g := range c.Generations {
		if g <= a.dropped || a.newest != 0 && g > a.newest {
			continue
		}
		granted.Shares = append(granted.Shares, api.Share{Generation: g, Share: a.share(g)})
	}
	*out.(*api.Unlocked) = granted
	return nil
}
