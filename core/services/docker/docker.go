// Package docker runs a service that is a container, by docker's Engine API.
//
// It promises that a container is known by its name, which is ours, and by a
// label: what others have made is never touched; that it goes on without
// g8os_core, and is adopted by the next one with its exit code; and that an
// image that is not there is pulled. What it writes is kept by docker within
// the bounds of the declaration, until it is started anew. It needs a dockerd,
// and starts none: while there is none, a service fails, and tries again.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/runtime"
	"github.com/g8os/g8os/core/services/spec"
)

// Socket is where dockerd listens.
const Socket = "/run/docker.sock"

// Labels of our containers.
const (
	labelName    = "io.g8os.service"
	labelVersion = "io.g8os.version" // of the declaration
)

// Engine is the dockerd of a machine.
type Engine struct {
	client *client.Client
	log    *slog.Logger
	ctx    context.Context // of all that is watched
	leave  context.CancelFunc
	live   sync.WaitGroup
}

// Open returns the engine behind a socket. It touches nothing: dockerd may come
// later, and may come and go.
func Open(socket string, log *slog.Logger) (*Engine, error) {
	c, err := client.NewClientWithOpts(client.WithHost("unix://"+socket), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("docker at %s: %w", socket, err)
	}
	e := &Engine{client: c, log: log}
	e.ctx, e.leave = context.WithCancel(context.Background())
	return e, nil
}

// Leave ends what watches containers; they go on.
func (e *Engine) Leave() {
	e.leave()
	e.live.Wait()
	_ = e.client.Close()
}

// Container is one service.
type Container struct {
	e *Engine
	s spec.Service
}

var _ runtime.Runtime = (*Container)(nil)

// New returns the runtime of a service.
func (e *Engine) New(s spec.Service) *Container { return &Container{e, s} }

func (c *Container) name() string { return "g8os-" + c.s.Name }

// errForeign tells of a container that has our name and is not ours.
var errForeign = errors.New("was made by somebody else: remove it, or name the service otherwise")

// find returns the container as it is; nil: there is none.
func (c *Container) find(ctx context.Context) (*container.InspectResponse, error) {
	is, err := c.e.client.ContainerInspect(ctx, c.name())
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("container %s: %w", c.name(), err)
	case is.Config == nil || is.Config.Labels[labelName] != c.s.Name:
		return nil, fmt.Errorf("container %s: %w", c.name(), errForeign)
	}
	return &is, nil
}

// Start starts it. One that runs by the same declaration is taken as it is:
// dockerd may have been away when it was to be adopted.
func (c *Container) Start(ctx context.Context) (runtime.Instance, error) {
	old, err := c.find(ctx)
	if err != nil {
		return nil, err
	}
	if old != nil {
		if old.State.Running && old.Config.Labels[labelVersion] == c.s.Version() {
			return c.watch(old), nil
		}
		if err := c.e.client.ContainerRemove(ctx, old.ID, container.RemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("remove the last container %s: %w", c.name(), err)
		}
	}
	if err := c.create(ctx); err != nil {
		return nil, err
	}
	if err := c.e.client.ContainerStart(ctx, c.name(), container.StartOptions{}); err != nil {
		return nil, fmt.Errorf("start container %s: %w", c.name(), err)
	}
	is, err := c.find(ctx)
	if err == nil && is == nil {
		err = fmt.Errorf("container %s is gone", c.name())
	}
	if err != nil {
		return nil, err
	}
	c.e.log.Info("container started", "service", c.s.Name, "container", is.ID[:12], "pid", is.State.Pid)
	return c.watch(is), nil
}

// Adopt takes over one that an earlier g8os_core has started.
func (c *Container) Adopt() (runtime.Instance, error) {
	ctx, cancel := context.WithTimeout(c.e.ctx, patience)
	defer cancel()
	is, err := c.find(ctx)
	switch {
	case err != nil && !errors.Is(err, errForeign):
		return nil, err
	case is == nil || !is.State.Running:
		return nil, fmt.Errorf("container %s: %w", c.name(), runtime.ErrNotRunning)
	}
	c.e.log.Info("container adopted", "service", c.s.Name, "container", is.ID[:12], "pid", is.State.Pid)
	return c.watch(is), nil
}

// LastExit says how the last one ended.
func (c *Container) LastExit() order.Exit {
	ctx, cancel := context.WithTimeout(c.e.ctx, patience)
	defer cancel()
	is, err := c.find(ctx)
	if err != nil || is == nil || is.State.Running {
		return order.Exit{Why: "ended while no g8os_core ran; its exit code is not known"}
	}
	x := exitOf(is.State)
	x.Why += " while no g8os_core ran"
	return x
}

// exitOf says how a container ended.
func exitOf(s *container.State) order.Exit {
	x := order.Exit{Known: true, Code: s.ExitCode, Why: process.CodeError{Code: s.ExitCode}.Error()}
	if s.OOMKilled {
		x.Why += ", out of its memory"
	}
	if s.Error != "" {
		x.Why += ": " + s.Error
	}
	return x
}

// Prune ends and removes our containers that are not of one of the services in
// keep: nobody declares them any more.
func (e *Engine) Prune(ctx context.Context, keep map[string]bool) error {
	list, err := e.client.ContainerList(ctx, container.ListOptions{All: true, Filters: labelled()})
	if err != nil {
		return fmt.Errorf("containers that nobody declares: %w", err)
	}
	var errs []error
	for _, is := range list {
		if keep[is.Labels[labelName]] {
			continue
		}
		err := e.client.ContainerStop(ctx, is.ID, container.StopOptions{})
		if err == nil {
			err = e.client.ContainerRemove(ctx, is.ID, container.RemoveOptions{})
		}
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			errs = append(errs, fmt.Errorf("container %.12s of service %s: %w", is.ID, is.Labels[labelName], err))
		}
	}
	return errors.Join(errs...)
}
