package turn

import (
	"testing"
	"time"
)

// said is what a machine says some seconds after it was let go.
type said struct {
	at    int
	phase string
}

func TestTurn(t *testing.T) {
	for _, c := range []struct {
		name string
		says []said
		over int // at which second the turn is over
	}{
		{"one that climbs at once", []said{{3, "network"}, {5, "unlock"}, {8, "managed"}}, 8},
		{"one that climbs slowly", []said{{50, "network"}, {100, "unlock"}, {150, "secure"}, {200, "managed"}}, 200},
		{"one that says nothing", nil, 60},
		{"one that does not answer for a while", []said{{10, "network"}, {20, ""}, {40, ""}, {69, "unlock"}, {80, "managed"}}, 80},
		{"one that nobody answers", []said{{5, "network"}, {30, "network"}, {64, "network"}}, 65},
		{"one that goes up and down", []said{{5, "network"}, {15, "unlock"}, {25, "network"}, {35, "unlock"}, {70, "network"}}, 75},
		{"one that is managed after its turn", []said{{5, "network"}, {100, "managed"}}, 65},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun := time.Unix(0, 0)
			x, says := Begin(begun), c.says
			for second := 0; ; second++ {
				now := begun.Add(time.Duration(second) * time.Second)
				for len(says) > 0 && says[0].at == second {
					x, says = x.Step(says[0].phase, says[0].phase == "managed", now), says[1:]
				}
				if x.Over(now) {
					if second != c.over {
						t.Errorf("is over after %d s, want %d", second, c.over)
					}
					break
				}
				if second > c.over {
					t.Fatalf("is not over after %d s", second)
				}
			}
			for _, s := range says {
				x = x.Step(s.phase, s.phase == "managed", begun)
			}
			if n := len(c.says); x.Managed() != (n > 0 && c.says[n-1].phase == "managed") {
				t.Errorf("managed: %v", x.Managed())
			}
		})
	}
}
