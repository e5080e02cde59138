package main

type metricsCmd struct{}

func (metricsCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	text, err := c.Metrics(s.ctx)
	if err != nil {
		return err
	}
	_, err = s.stdout.Write(text)
	return err
}
