package console

import (
	"fmt"
	"strconv"
	"time"
)

// ago tells how long ago something was, as exactly as anybody asks.
func ago(now, t time.Time) string {
	switch d := now.Sub(t); {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return plural(int64(d/time.Minute), "minute") + " ago"
	case d < 48*time.Hour:
		return plural(int64(d/time.Hour), "hour") + " ago"
	default:
		return plural(int64(d/(24*time.Hour)), "day") + " ago"
	}
}

// ahead tells how soon something will be.
func ahead(now, t time.Time) string {
	switch d := t.Sub(now); {
	case d <= 0:
		return "now"
	case d < time.Hour:
		return "in " + plural(int64(d/time.Minute)+1, "minute")
	case d < 48*time.Hour:
		return "in " + plural(int64(d/time.Hour), "hour")
	default:
		return "in " + plural(int64(d/(24*time.Hour)), "day")
	}
}

func plural(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.FormatInt(n, 10) + " " + unit + "s"
}

// inWords tells a length of time in its largest unit.
func inWords(d time.Duration) string {
	switch {
	case d >= 24*time.Hour && d%(24*time.Hour) == 0:
		return plural(int64(d/(24*time.Hour)), "day")
	case d >= time.Hour && d%time.Hour == 0:
		return plural(int64(d/time.Hour), "hour")
	default:
		return plural(int64(d/time.Minute), "minute")
	}
}

// grouped writes a number as people read it: 12,345.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + " ms"
}

func percent(part float64) string {
	switch {
	case part == 0:
		return "0%"
	case part < 0.001:
		return "<0.1%"
	case part > 0.999 && part < 1:
		return ">99.9%"
	default:
		return fmt.Sprintf("%.1f%%", part*100)
	}
}
