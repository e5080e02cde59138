package spec

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// document is a file as it is written.
type document struct {
	Service map[string]raw `toml:"service"`
}

type raw struct {
	Command    any               `toml:"command"` // a list, or a string
	Env        map[string]string `toml:"env"`
	User       string            `toml:"user"`
	Group      string            `toml:"group"`
	Dir        string            `toml:"dir"`
	After      []string          `toml:"after"`
	Condition  []string          `toml:"condition"`
	Ready      rawReady          `toml:"ready"`
	Restart    string            `toml:"restart"`
	Backoff    rawBackoff        `toml:"backoff"`
	Limit      rawLimit          `toml:"limit"`
	Stop       rawStop           `toml:"stop"`
	Limits     rawLimits         `toml:"limits"`
	Namespaces []string          `toml:"namespaces"`
	PrivateTmp bool              `toml:"private_tmp"`
	NoNetwork  bool              `toml:"no_network"`
	Oneshot    bool              `toml:"oneshot"`
	Every      duration          `toml:"every"`
	Cron       cronText          `toml:"cron"`
	Log        rawLog            `toml:"log"`
	Runtime    string            `toml:"runtime"`
	Docker     rawDocker         `toml:"docker"`
	KVM        rawKVM            `toml:"kvm"`
}

type (
	rawReady struct {
		AliveFor duration `toml:"alive_for"`
		TCP      string   `toml:"tcp"`
		HTTP     string   `toml:"http"`
		Output   pattern  `toml:"output"`
		Notify   bool     `toml:"notify"`
		Timeout  duration `toml:"timeout"`
	}
	rawBackoff struct {
		Min duration `toml:"min"`
		Max duration `toml:"max"`
	}
	rawLimit struct {
		Starts int      `toml:"starts"`
		Within duration `toml:"within"`
	}
	rawStop struct {
		Signal string   `toml:"signal"`
		Grace  duration `toml:"grace"`
	}
	rawLimits struct {
		CPU    float64 `toml:"cpu"`
		Memory size    `toml:"memory"`
		Pids   int     `toml:"pids"`
		IO     []rawIO `toml:"io"`
	}
	rawIO struct {
		Device string `toml:"device"`
		Read   size   `toml:"read"`
		Write  size   `toml:"write"`
	}
	rawDocker struct {
		Image   string   `toml:"image"`
		Volumes []string `toml:"volumes"`
		Network string   `toml:"network"`
		Ports   []string `toml:"ports"`
	}
	rawKVM struct {
		Disks  []string `toml:"disks"`
		Kernel string   `toml:"kernel"`
		Initrd string   `toml:"initrd"`
		Append string   `toml:"append"`
		CPUs   int      `toml:"cpus"`
		Memory size     `toml:"memory"`
		Accel  string   `toml:"accel"`
		Args   []string `toml:"args"`
	}
	rawLog struct {
		Size size `toml:"size"`
		Keep *int `toml:"keep"`
	}
)

// duration is "10s"; more than nothing.
type duration time.Duration

// UnmarshalText reads one.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%.40q is no duration; expected one such as \"1.5s\" or \"10m\"", text)
	}
	*d = duration(v)
	return nil
}

// size is "512MiB"; more than nothing.
type size int64

// UnmarshalText reads one.
func (s *size) UnmarshalText(text []byte) error {
	v, err := humanize.ParseBytes(string(text))
	if err != nil || v == 0 || v > math.MaxInt64 {
		return fmt.Errorf("%.40q is no size; expected one such as \"512MiB\"", text)
	}
	*s = size(v)
	return nil
}

// cronText is five fields, or @daily and the like.
type cronText struct{ text string }

// UnmarshalText checks it.
func (c *cronText) UnmarshalText(text []byte) error {
	if _, err := schedule(string(text)); err != nil {
		return fmt.Errorf("%w; expected five fields as in crontab(5), such as \"30 4 * * *\", or @daily", err)
	}
	if strings.Contains(string(text), "TZ=") {
		return errors.New("has a time zone; expected none: it is in UTC")
	}
	c.text = string(text)
	return nil
}

// pattern is a regular expression.
type pattern struct{ text string }

// UnmarshalText checks it.
func (p *pattern) UnmarshalText(text []byte) error {
	if _, err := regexp.Compile(string(text)); err != nil {
		return err
	}
	p.text = string(text)
	return nil
}
