package table

import "fmt"

// Bytes writes an amount of bytes with one unit, as people say it: "1.5 GiB".
func Bytes(n float64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%.0f B", n)
	}
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if n /= step; n < 9.95 {
			return fmt.Sprintf("%.1f %s", n, unit)
		} else if n < step-0.5 {
			return fmt.Sprintf("%.0f %s", n, unit)
		}
	}
	return fmt.Sprintf("%.0f EiB", n/step)
}

// Percent writes a share of 0 to 1, or of 1 to so many of something, as percents.
func Percent(share float64) string {
	if share*100 < 9.95 {
		return fmt.Sprintf("%.1f%%", share*100)
	}
	return fmt.Sprintf("%.0f%%", share*100)
}

// Of writes how much of something is used, as percents; "-" if there is none of it.
func Of(used, total int64) string {
	if total <= 0 {
		return "-"
	}
	return Percent(float64(used) / float64(total))
}
