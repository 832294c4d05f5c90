package arguments

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Times as models write them. Those without a zone are in the tool's.
var timeLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700",
	"2006-01-02T15:04:05", "2006-01-02T15:04",
}

// parseTime reads a date and a time, or a date alone, which is its midnight.
func parseTime(s string, zone *time.Location) (time.Time, bool) {
	s = strings.ToUpper(s)
	if len(s) > len(time.DateOnly) && s[len(time.DateOnly)] == ' ' {
		s = s[:len(time.DateOnly)] + "T" + s[len(time.DateOnly)+1:]
	}
	if t, ok := parseDate(s, zone); ok {
		return t, true
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			y, local := t.UTC().Year(), t.In(zone).Year() // RFC 3339 has no others
			return t, 1 <= y && y <= 9999 && 1 <= local && local <= 9999
		}
	}
	return time.Time{}, false
}

func parseDate(s string, zone *time.Location) (time.Time, bool) {
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	y := t.UTC().Year()
	return t, err == nil && 1 <= y && y <= 9999
}

// iso8601 has no years and months: their length is not fixed.
var iso8601 = regexp.MustCompile(`^([+-]?)P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(\d+H)?(\d+M)?(\d+(?:[.,]\d+)?S)?)?$`)

// parseDuration reads ISO 8601 ("PT30M"), Go's syntax ("30m") and seconds ("1800").
func parseDuration(s string) (time.Duration, bool) {
	if d, ok := parseDecimal(s); ok {
		s = d.String() + "s"
	} else if m := iso8601.FindStringSubmatch(strings.ToUpper(s)); m != nil {
		s = m[1] + hours(m[2], 7*24) + hours(m[3], 24) + strings.ToLower(m[4]+m[5]+strings.ReplaceAll(m[6], ",", "."))
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// hours returns so many weeks or days as Go writes them, "" for none.
func hours(count string, each int) string {
	if count == "" {
		return ""
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		return "?" // no duration
	}
	return strconv.Itoa(n*each) + "h"
}

// A format is a form of text that a field's tag may ask for.
type format struct {
	words   func(w *Words) string
	example string
	matches func(s string) bool
}

var uuid = regexp.MustCompile(`^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$`)

var formats = map[string]format{
	"date":      {func(w *Words) string { return w.Date }, "2035-07-16", func(s string) bool { _, ok := parseDate(s, time.UTC); return ok }},
	"date-time": {func(w *Words) string { return w.DateTime }, "2035-07-16T09:00:00", func(s string) bool { _, ok := parseTime(s, time.UTC); return ok }},
	"duration":  {func(w *Words) string { return w.Duration }, "PT30M", func(s string) bool { _, ok := parseDuration(s); return ok }},
	"email":     {func(w *Words) string { return w.Email }, "ana@example.com", isEmail},
	"uuid":      {func(w *Words) string { return w.UUID }, "123e4567-e89b-12d3-a456-426614174000", uuid.MatchString},
}

func isEmail(s string) bool {
	name, host, ok := strings.Cut(s, "@")
	return ok && name != "" && strings.Trim(host, ".") == host && host != "" && !strings.ContainsAny(s, " \t\r\n<>\"") && !strings.Contains(host, "@")
}
