package fabric

import (
	"context"
	"fmt"
)

// Tap adds a port that gets a copy of every frame of a segment, and returns
// its name in the switch's namespace and what takes it away again.
func (s *Switch) Tap(ctx context.Context, segment string, number int) (name string, remove func(context.Context) error, err error) {
	br := Bridge(segment)
	name = fmt.Sprintf("tap%d", number)
	vsctl := []string{"ovs-vsctl", "--db=unix:" + s.socket(), "--timeout=10"}
	add := append(vsctl, "--", "add-port", br, name, "--", "set", "interface", name, "type=internal",
		"--", "--id=@p", "get", "port", name,
		"--", "--id=@m", "create", "mirror", "name="+name, "select_all=true", "output_port=@p",
		"--", "add", "bridge", br, "mirrors", "@m")
	if _, err := s.run(ctx, nil, add...); err != nil {
		return "", nil, fmt.Errorf("tap segment %s: %w", segment, err)
	}
	remove = func(ctx context.Context) error {
		del := append(vsctl, "--", "--id=@m", "get", "mirror", name, "--", "remove", "bridge", br, "mirrors", "@m",
			"--", "--if-exists", "del-port", name)
		if _, err := s.run(ctx, nil, del...); err != nil {
			return fmt.Errorf("take the tap off segment %s: %w", segment, err)
		}
		return nil
	}
	h, err := s.handle()
	if err != nil {
		return "", nil, err
	}
	defer h.Close()
	link, err := h.LinkByName(name)
	if err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		return "", nil, fmt.Errorf("tap segment %s: %w", segment, err)
	}
	return name, remove, nil
}
