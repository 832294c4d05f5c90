package inspect

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/replylint"
)

var funcs = template.FuncMap{
	"asset": asset, "ago": ago, "span": span, "offset": offset, "short": short, "clock": func(t time.Time) string { return t.Local().Format("15:04:05") },
	"stamp":   func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") },
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"callurl": func(id core.CallID) string { return callURL(id) },
	"percent": percent,
	"part":    func(v, of float64) string { return pct(v / math.Max(of, 1)) },
	"add": func(vs ...float64) (sum float64) {
		for _, v := range vs {
			sum += v
		}
		return sum
	},
	"inc":      func(i int) int { return i + 1 },
	"ms":       func(v float64) string { return span(time.Duration(v * float64(time.Millisecond))) },
	"plural":   plural,
	"thousand": thousand,
	"query":    url.QueryEscape,
	"path":     url.PathEscape,
	"level":    func(l replylint.Level) string { return l.String() },
	"hang":     func() time.Duration { return replylint.HangAfter },
	"join":     strings.Join,
	"title": func(s string) string {
		if s == "" {
			return s
		}
		return strings.ToUpper(s[:1]) + s[1:]
	},
	"status": func(s core.Status) string { return string(s) },
	"dict": func(kv ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i+1 < len(kv); i += 2 {
			m[fmt.Sprint(kv[i])] = kv[i+1]
		}
		return m
	},
}

// percent is where a time is on a bar, as SVG takes it.
func percent(d, scale time.Duration) string {
	if scale <= 0 {
		return "0%"
	}
	if d > 0 {
		d = max(d, scale/250) // so that it can be seen
	}
	return pct(float64(d) / float64(scale))
}

func pct(f float64) string {
	return strconv.FormatFloat(100*math.Min(1, math.Max(0, f)), 'f', 2, 64) + "%"
}

// span is a time for people: 42 ms, 3.4 s, 2 m 5 s.
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

// offset is a time since the start of a call.
func offset(d time.Duration) string {
	if d < 0 {
		return "−" + offset(-d)
	}
	if d < time.Hour {
		return fmt.Sprintf("%d:%04.1f", int(d.Minutes()), math.Mod(d.Seconds(), 60))
	}
	return fmt.Sprintf("%d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

// ago is when something was, near times as the time of the day.
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

func short(id string) string {
	if len(id) > 18 {
		return id[:10] + "…" + id[len(id)-4:]
	}
	return id
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousand(n) + " " + what + "s"
}

func thousand(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
