package inspect

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/replylint"
)

var templateFuncs = template.FuncMap{
	"asset": asset, "ago": ago, "span": span, "offset": offset, "short": short, "percent": percent, "plural": plural, "thousand": thousand,
	"clock":   func(t time.Time) string { return t.Local().Format(time.TimeOnly) },
	"stamp":   func(t time.Time) string { return t.Local().Format(time.DateTime) },
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"callurl": func(id event.CallID) string { return callURL(id) },
	"path":    url.PathEscape,
	"part":    func(v, of float64) string { return pct(v / math.Max(of, 1)) },
	"add":     func(a, b float64) float64 { return a + b },
	"inc":     func(i int) int { return i + 1 },
	"ms":      func(v float64) string { return span(time.Duration(v * float64(time.Millisecond))) },
	"level":   func(l replylint.Level) string { return l.String() },
	"hang":    func() time.Duration { return replylint.HangAfter },
	"budget":  func() time.Duration { return core.DefaultBudget },
	"dict":    dict,
}

// dict returns a map of names and values, for a template with parameters.
func dict(namesAndValues ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		m[fmt.Sprint(namesAndValues[i])] = namesAndValues[i+1]
	}
	return m
}

// percent returns the position of a time on a bar, as SVG takes it.
func percent(d, scale time.Duration) string {
	if scale <= 0 {
		return "0%"
	}
	if d > 0 {
		d = max(d, scale/250) // so that it is visible
	}
	return pct(float64(d) / float64(scale))
}

// pct returns a fraction as a percentage between 0 and 100.
func pct(f float64) string {
	return strconv.FormatFloat(100*math.Min(1, math.Max(0, f)), 'f', 2, 64) + "%"
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// span formats a duration for people: 42 ms, 3.4 s, 2 m 05 s.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "−" + span(-d)
	case d < 50*time.Microsecond && d > 0:
		return "< 0.1 ms"
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f ms", ms(d))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d m %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d m", int(d.Hours()), int(d.Minutes())%60)
}

// offset formats a time since the start of a call: 1:02.5.
func offset(d time.Duration) string {
	if d < 0 {
		return "−" + offset(-d)
	}
	if d < time.Hour {
		return fmt.Sprintf("%d:%04.1f", int(d.Minutes()), math.Mod(d.Seconds(), 60))
	}
	return fmt.Sprintf("%d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

// ago formats when something was: the time of today, or the date.
func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	t = t.Local()
	now := time.Now()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04:05")
	}
	if t.Year() == now.Year() {
		return t.Format("Jan 2 15:04")
	}
	return t.Format("2006-01-02")
}

// short abbreviates an id.
func short(id string) string {
	if len(id) > 18 {
		return id[:10] + "…" + id[len(id)-4:]
	}
	return id
}

// plural returns a number and a noun: 1 call, 2,000 calls.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousand(n) + " " + noun + "s"
}

// thousand formats a number with separators.
func thousand(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
