package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/g8os/g8os/core/api"
)

// EventsQuery narrows what nodes noticed. The zero value means all that is kept.
type EventsQuery struct {
	Node   string // id, MAC or host name
	Level  int    // of this level and above
	After  string // only what came later than the event with this Cursor, of any AC
	Limit  int    // at most so many of the newest; 0: no limit
	Follow bool   // go on until ctx ends
}

// Events hands on what nodes noticed, the oldest first. With Follow it ends
// only when take fails, ctx ends, or the AC is lost (ErrLost): call it again
// with the last Cursor.
func (c *Client) Events(ctx context.Context, o EventsQuery, take func(api.NodeEvent) error) error {
	q := url.Values{"node": {o.Node}, "after": {o.After}, "level": {strconv.Itoa(o.Level)}, "limit": {strconv.Itoa(o.Limit)}}
	if o.Follow {
		q.Set("follow", "1")
	}
	res, err := c.do(ctx, http.MethodGet, api.PathEvents+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	err = lines(res.Body, take)
	if !o.Follow && errors.Is(err, io.EOF) { // there is no more
		return nil
	}
	return err
}
