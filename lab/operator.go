package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

// What travels between an AC and those who ask it.
type (
	// Status is what a node says of itself.
	Status = api.Status
	// NodeRecord is what an AC knows of a node.
	NodeRecord = api.Node
	// AuditEntry is one decision of an AC.
	AuditEntry = api.AuditEntry
	// Fault is a misbehaviour of an AC.
	Fault = api.Fault
	// ACRecord is what an AC knows of one of them.
	ACRecord = api.AC
	// ACState is how one stands among the others.
	ACState = api.ACState
)

// States of an AC.
const (
	ACServing = api.ACServing
	ACDown    = api.ACDown
	ACUnknown = api.ACUnknown
)

// Client speaks to the AC as its first operator, over the port on 127.0.0.1.
// Close it.
func (a *AC) Client() (*client.Client, error) {
	return client.New(a.context())
}

// ask opens a client for one question.
func ask[T any](a *AC, question func(*client.Client) (T, error)) (T, error) {
	c, err := a.Client()
	if err != nil {
		var none T
		return none, err
	}
	defer c.Close()
	answer, err := question(c)
	if err != nil {
		return answer, fmt.Errorf("AC %s: %w", a.Name(), err)
	}
	return answer, nil
}

// Nodes lists the AC's records.
func (a *AC) Nodes(ctx context.Context) ([]NodeRecord, error) {
	return ask(a, func(c *client.Client) ([]NodeRecord, error) { return c.Nodes(ctx) })
}

// Node returns the AC's record of a node.
func (a *AC) Node(ctx context.Context, n *Node) (NodeRecord, error) {
	return ask(a, func(c *client.Client) (NodeRecord, error) { return c.Node(ctx, string(n.ID())) })
}

// Approve lets a pending node in.
func (a *AC) Approve(ctx context.Context, n *Node) (NodeRecord, error) {
	return ask(a, func(c *client.Client) (NodeRecord, error) { return c.Approve(ctx, string(n.ID())) })
}

// Rotate begins a rotation of all who have a key of a kind.
func (a *AC) Rotate(ctx context.Context, k api.RotateKind) (api.Rotation, error) {
	return ask(a, func(c *client.Client) (api.Rotation, error) { return c.Rotate(ctx, api.RotateRequest{Kind: k}) })
}

// Rotations lists the last rotation of each kind.
func (a *AC) Rotations(ctx context.Context) ([]api.Rotation, error) {
	return ask(a, func(c *client.Client) ([]api.Rotation, error) { return c.Rotations(ctx) })
}

// Retire shuts a node out for good.
func (a *AC) Retire(ctx context.Context, n *Node) (NodeRecord, error) {
	return ask(a, func(c *client.Client) (NodeRecord, error) { return c.Retire(ctx, string(n.ID())) })
}

// Audit returns the AC's decisions about a node, or about all when n is nil, oldest first.
func (a *AC) Audit(ctx context.Context, n *Node) ([]AuditEntry, error) {
	ref := ""
	if n != nil {
		ref = string(n.ID())
	}
	return ask(a, func(c *client.Client) ([]AuditEntry, error) { return c.Audit(ctx, ref, 0, 0) })
}

// AuditAfter returns the AC's decisions about all nodes after one of them,
// oldest first.
func (a *AC) AuditAfter(ctx context.Context, seq uint64) ([]AuditEntry, error) {
	return ask(a, func(c *client.Client) ([]AuditEntry, error) { return c.Audit(ctx, "", seq, 0) })
}

// Arm makes the AC misbehave from now on, towards some nodes or, without any,
// towards all. See ac-mock/fault for the names.
func (a *AC) Arm(ctx context.Context, name string, towards ...*Node) error {
	f := Fault{Name: name}
	for _, n := range towards {
		f.Nodes = append(f.Nodes, n.ID())
	}
	_, err := ask(a, func(c *client.Client) (Fault, error) { return c.Arm(ctx, f) })
	return err
}

// Clear ends a fault.
func (a *AC) Clear(ctx context.Context, name string) error {
	_, err := ask(a, func(c *client.Client) ([]Fault, error) { return c.Clear(ctx, name) })
	return err
}

// Faults lists those that are armed.
func (a *AC) Faults(ctx context.Context) ([]Fault, error) {
	return ask(a, func(c *client.Client) ([]Fault, error) { return c.Faults(ctx) })
}

// Exec runs a command on a node by way of the AC, as g8os exec does.
func (a *AC) Exec(ctx context.Context, n *Node, argv ...string) (Result, error) {
	var out, errs bytes.Buffer
	code, err := ask(a, func(c *client.Client) (int, error) {
		return c.Exec(ctx, string(n.ID()), api.ExecRequest{Argv: argv}, client.ExecOptions{Stdout: &out, Stderr: &errs})
	})
	return Result{Stdout: out.String(), Stderr: errs.String(), Code: code}, err
}

// ExecJob is Exec with a job id of the caller's: asked for again, it does not
// run twice. The job goes on when ctx ends. Output is written as it comes.
func (a *AC) ExecJob(ctx context.Context, n *Node, job string, out io.Writer, argv ...string) (code int, err error) {
	return a.FollowJob(ctx, n, job, out, nil, argv...)
}

// FollowJob is ExecJob that tells once the AC has taken the job. An error that
// wraps client.ErrJob is the job's, any other one that of the way there.
func (a *AC) FollowJob(ctx context.Context, n *Node, job string, out io.Writer, taken func(), argv ...string) (code int, err error) {
	return ask(a, func(c *client.Client) (int, error) {
		return c.Exec(ctx, string(n.ID()), api.ExecRequest{Argv: argv}, client.ExecOptions{Job: job, Keep: true, Stdout: out, Taken: taken})
	})
}
