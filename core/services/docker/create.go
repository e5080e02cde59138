package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/go-connections/nat"

	"github.com/g8os/g8os/core/services/spec"
)

func labelled() filters.Args { return filters.NewArgs(filters.Arg("label", labelName)) }

// create makes the container, after pulling its image where it is not there.
func (c *Container) create(ctx context.Context) error {
	config, host, err := plan(c.s)
	if err != nil {
		return err
	}
	_, err = c.e.client.ContainerCreate(ctx, config, host, nil, nil, c.name())
	if errdefs.IsNotFound(err) {
		if err := c.pull(ctx); err != nil {
			return err
		}
		_, err = c.e.client.ContainerCreate(ctx, config, host, nil, nil, c.name())
	}
	if err != nil {
		return fmt.Errorf("make container %s: %w", c.name(), err)
	}
	return nil
}

// pull fetches the image. That it has failed is in what docker says meanwhile.
func (c *Container) pull(ctx context.Context) error {
	c.e.log.Info("an image is pulled", "service", c.s.Name, "image", c.s.Docker.Image)
	said, err := c.e.client.ImagePull(ctx, c.s.Docker.Image, image.PullOptions{})
	if err != nil {
		return fmt.Errorf("pull image %s: %w", c.s.Docker.Image, err)
	}
	defer said.Close()
	dec := json.NewDecoder(said)
	for {
		var line struct {
			Error string `json:"error"`
		}
		switch err := dec.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil && line.Error != "":
			err = errors.New(line.Error)
			fallthrough
		case err != nil:
			return fmt.Errorf("pull image %s: %w", c.s.Docker.Image, err)
		}
	}
}

// plan says what docker is to make of a declaration.
func plan(s spec.Service) (*container.Config, *container.HostConfig, error) {
	exposed, ports, err := nat.ParsePortSpecs(s.Docker.Ports)
	if err != nil {
		return nil, nil, fmt.Errorf("ports: %w", err)
	}
	user := s.User
	if s.Group != "" {
		user += ":" + s.Group
	}
	config := &container.Config{
		Image: s.Docker.Image, Cmd: s.Command, Env: s.Env, User: user, WorkingDir: s.Dir, ExposedPorts: exposed, StopSignal: "SIG" + s.Signal,
		Labels: map[string]string{labelName: s.Name, labelVersion: s.Version()},
	}
	host := &container.HostConfig{
		Binds: s.Docker.Volumes, NetworkMode: container.NetworkMode(s.Docker.Network), PortBindings: ports, Resources: resources(s.Limits),
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{
			"max-size": fmt.Sprint(s.LogSize), "max-file": fmt.Sprint(s.LogKeep + 1),
		}},
	}
	return config, host, nil
}

func resources(l spec.Limits) container.Resources {
	r := container.Resources{NanoCPUs: int64(l.CPU * 1e9), Memory: l.Memory, MemorySwap: l.Memory}
	if l.Pids > 0 {
		n := int64(l.Pids)
		r.PidsLimit = &n
	}
	for _, d := range l.IO {
		if d.Read > 0 {
			r.BlkioDeviceReadBps = append(r.BlkioDeviceReadBps, &blkiodev.ThrottleDevice{Path: d.Device, Rate: uint64(d.Read)})
		}
		if d.Write > 0 {
			r.BlkioDeviceWriteBps = append(r.BlkioDeviceWriteBps, &blkiodev.ThrottleDevice{Path: d.Device, Rate: uint64(d.Write)})
		}
	}
	return r
}
