package impair

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// Set tells the shaper behind a socket that these are the links there are, all
// of them. It returns once they are in force there, with their tags and those
// of links that have just gone.
func Set(ctx context.Context, socket string, links []Link) ([]Tagged, Stats, error) {
	fail := func(err error) ([]Tagged, Stats, error) {
		return nil, Stats{}, fmt.Errorf("tell the shaper of %d links: %w", len(links), err)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return fail(err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var r response
	if links == nil {
		links = []Link{}
	}
	err = json.NewEncoder(c).Encode(links)
	if err == nil {
		err = json.NewDecoder(c).Decode(&r)
	}
	if err != nil {
		return fail(errors.Join(err, ctx.Err()))
	}
	if r.Error != "" {
		return fail(errors.New(r.Error))
	}
	return r.Links, r.Stats, nil
}
