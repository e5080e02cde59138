package table

import "testing"

func TestAmounts(t *testing.T) {
	for n, want := range map[float64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10200: "10 KiB", 1 << 20: "1.0 MiB", 1 << 40: "1.0 TiB", 1 << 62: "4 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%v bytes: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0.0%", 0.0501: "5.0%", 0.0996: "10%", 1: "100%", 3.2: "320%"} {
		if got := Percent(n); got != want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
	if Of(1, 0) != "-" || Of(1, 2) != "50%" {
		t.Errorf("%q %q", Of(1, 0), Of(1, 2))
	}
}
