package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	lossOff    = bound{Name: "loss of 1, 10 and 50 % of 1000 frames, farthest from what was asked", Limit: 10, Unit: "% of it"}
	delayOff   = bound{Name: "delay of 1, 20 and 100 ms, farthest from what was asked", Limit: 1, Unit: "ms"}
	addTime    = bound{Name: "fault of a link asked for → in force and measured", Limit: 1.5, Unit: "s"}
	besideRTT  = bound{Name: "round trip of a pair beside an impaired one, more than without", Limit: 0.1, Unit: "ms"}
	besideRate = bound{Name: "throughput of a pair beside an impaired one, of that without", Limit: 0.9, AtLeast: true}
)

// measureImpair looks at office-1, from which frames to office-2 are impaired,
// and at what that does to its frames to office-3.
func measureImpair(ctx context.Context, b *bench) []result {
	const name = "links"
	defer b.down(ctx, name)
	if _, _, err := b.labUp(ctx, name, "links"); err != nil {
		return failedAll(err, lossOff, delayOff, addTime, besideRTT, besideRate)
	}
	var took float64
	loss, err := b.farthest(ctx, &took, "loss", "percent", 1, 10, 50)
	results := []result{lossOff.measured(loss)}
	if err != nil {
		results = failedAll(err, lossOff)
	}
	delay, err := b.farthest(ctx, &took, "delay", "delay", 1, 20, 100)
	if err != nil {
		results = append(results, failedAll(err, delayOff, addTime)...)
	} else {
		results = append(results, delayOff.measured(delay), addTime.measured(took))
	}
	return append(results, b.beside(ctx)...)
}

// applied is one of g8lab fault list -o json.
type applied struct {
	ID       string
	Asked    time.Duration `json:"asked_ns"`
	InForce  time.Duration `json:"in_force_ns"`
	Measured struct {
		Percent float64
		Delay   string
		How     string
	}
}

// farthest asks for a fault in several sizes, and says how far what was measured
// is from that at most: in percent of what was asked, or in milliseconds. took
// becomes the most seconds that one took.
func (b *bench) farthest(ctx context.Context, took *float64, kind, field string, sizes ...float64) (float64, error) {
	var most float64
	for _, size := range sizes {
		value := strconv.FormatFloat(size, 'g', -1, 64)
		if kind == "delay" {
			value += "ms"
		}
		f, err := b.fault(ctx, kind, field+"="+value)
		if err != nil {
			return 0, err
		}
		b.say("impair: %s %s: %s", kind, value, f.Measured.How)
		off := math.Abs(f.Measured.Percent-size) / size * 100
		if kind == "delay" {
			d, err := time.ParseDuration(f.Measured.Delay)
			if err != nil {
				return 0, fmt.Errorf("delay of %s: not measured: %s", value, f.Measured.How)
			}
			off = math.Abs(d.Seconds()*1000 - size)
		}
		most, *took = max(most, off), max(*took, (f.InForce-f.Asked).Seconds())
		if err := b.heal(ctx); err != nil {
			return 0, err
		}
	}
	return most, nil
}

// fault puts a fault into force from office-1 to office-2.
func (b *bench) fault(ctx context.Context, words ...string) (applied, error) {
	lab := []string{"--lab", labPrefix + "links"}
	args := append([]string{"fault", "add"}, words...)
	if _, err := b.g8lab(ctx, append(append(args, "from=office-1", "to=office-2"), lab...)...); err != nil {
		return applied{}, err
	}
	text, err := b.g8lab(ctx, append([]string{"fault", "list", "-o", "json"}, lab...)...)
	if err != nil {
		return applied{}, err
	}
	var all []applied
	if err := json.Unmarshal(text, &all); err != nil || len(all) != 1 {
		return applied{}, fmt.Errorf("g8lab fault list -o json: %d faults, %w", len(all), err)
	}
	return all[0], nil
}

func (b *bench) heal(ctx context.Context) error {
	_, err := b.g8lab(ctx, "fault", "heal", "--all", "--lab", labPrefix+"links")
	return err
}

// rounds are how often a pair is measured with and without an impaired one
// beside it, by turns. The best counts: what else the machine does only makes
// it worse.
const rounds = 5

func (b *bench) beside(ctx context.Context) []result {
	var rtt, rate [2][]float64 // without, with
	for range rounds {
		for with := range 2 {
			if with == 1 {
				if _, err := b.fault(ctx, "delay", "delay=20ms"); err != nil {
					return failedAll(err, besideRTT, besideRate)
				}
			}
			ms, err := b.roundTrip(ctx)
			if err != nil {
				return failedAll(err, besideRTT, besideRate)
			}
			mbit, err := b.throughput(ctx)
			if err != nil {
				return failedAll(err, besideRTT, besideRate)
			}
			b.say("impair: beside: impaired %v: %.3f ms, %.0f Mbit/s", with == 1, ms, mbit)
			rtt[with], rate[with] = append(rtt[with], ms), append(rate[with], mbit)
		}
		if err := b.heal(ctx); err != nil {
			return failedAll(err, besideRTT, besideRate)
		}
	}
	return []result{
		besideRTT.measured(max(0, slices.Min(rtt[1])-slices.Min(rtt[0]))),
		besideRate.measured(slices.Max(rate[1]) / slices.Max(rate[0])),
	}
}

// beyond is the address of office-3.
const beyond = "192.168.7.12"

func (b *bench) roundTrip(ctx context.Context) (ms float64, err error) {
	text, err := b.g8lab(ctx, "exec", "--lab", labPrefix+"links", "office-1", "--", "ping", "-q", "-c", "200", "-i", "0.005", beyond)
	if err != nil {
		return 0, err
	}
	return parsePing(string(text))
}

// parsePing reads the average of what ping -q says of round trips.
func parsePing(text string) (ms float64, err error) {
	_, times, _ := strings.Cut(text, "min/avg/max/mdev = ")
	all := strings.Split(times, "/")
	if len(all) < 2 {
		return 0, fmt.Errorf("ping says %q", lastLine(text))
	}
	return strconv.ParseFloat(all[1], 64)
}

// throughput is that of one TCP connection from office-1 to office-3, which
// sends size bytes and waits until they were read.
func (b *bench) throughput(ctx context.Context) (mbit float64, err error) {
	const size = 128 << 20
	lab := labPrefix + "links"
	served := make(chan error, 1)
	go func() {
		// It ends at the end of its own input, which a pipe that nobody else has open never comes to.
		text, err := b.g8lab(ctx, "exec", "--lab", lab, "office-3", "--", "sh", "-c",
			"rm -f /run/input && mkfifo /run/input && busybox nc -l -p 5001 <>/run/input | wc -c")
		if got := strings.TrimSpace(string(text)); err == nil && got != strconv.Itoa(size) {
			err = fmt.Errorf("throughput: %s of %d bytes arrived", got, size)
		}
		served <- err
	}()
	// The far end listens a moment later than it was asked to.
	client := fmt.Sprintf(`until { a=$(date +%%s%%N); head -c %d /dev/zero | busybox nc %s 5001; }; do sleep 0.05; done; echo $(($(date +%%s%%N)-a))`, size, beyond)
	text, err := b.g8lab(ctx, "exec", "--lab", lab, "office-1", "--", "sh", "-c", client)
	if err != nil {
		return 0, err
	}
	if err := <-served; err != nil {
		return 0, err
	}
	ns, err := strconv.ParseFloat(lastLine(string(text)), 64)
	if err != nil {
		return 0, fmt.Errorf("throughput: %w", err)
	}
	return size * 8 / ns * 1000, nil
}
