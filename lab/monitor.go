package lab

import (
	"context"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

// What nodes say of themselves.
type (
	// Facts are what a node is.
	Facts = api.Facts
	// Top is what uses a node.
	Top = api.Top
	// NodeMetrics is what a node measured last.
	NodeMetrics = api.NodeMetrics
	// NodeEvent is what a node noticed by itself.
	NodeEvent = api.NodeEvent
)

// Facts asks a node what it is, by way of the AC.
func (a *AC) Facts(ctx context.Context, n *Node) (Facts, error) {
	return ask(a, func(c *client.Client) (Facts, error) { return c.Facts(ctx, string(n.ID())) })
}

// Top asks a node what uses it.
func (a *AC) Top(ctx context.Context, n *Node) (top Top, err error) {
	return ask(a, func(c *client.Client) (Top, error) {
		err := c.Top(ctx, string(n.ID()), api.TopArgs{IntervalMS: 200}, func(t api.Top) error { top = t; return nil })
		return top, err
	})
}

// NodeMetrics lists what all nodes measured last, as the AC has it.
func (a *AC) NodeMetrics(ctx context.Context) ([]NodeMetrics, error) {
	return ask(a, func(c *client.Client) ([]NodeMetrics, error) { return c.NodeMetrics(ctx) })
}

// MetricsPage is the AC's page for Prometheus.
func (a *AC) MetricsPage(ctx context.Context) (string, error) {
	return ask(a, func(c *client.Client) (string, error) {
		text, err := c.Metrics(ctx)
		return string(text), err
	})
}

// Events lists what a node noticed, the oldest first.
func (a *AC) Events(ctx context.Context, n *Node) (list []NodeEvent, err error) {
	return ask(a, func(c *client.Client) ([]NodeEvent, error) {
		err := c.Events(ctx, client.EventsQuery{Node: string(n.ID())}, func(e api.NodeEvent) error { list = append(list, e); return nil })
		return list, err
	})
}
