package app

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/serverurl/serverurl/core"
)

// What people and models write is compared by what it means: this file reads
// numbers, days, times and names in their usual spellings.

var (
	extension = regexp.MustCompile(`(?i)[\s,;]*(?:extension|ext|x|#)[\s.:=]*\d{1,6}$`)
	marks     = strings.NewReplacer("(0)", "", " ", "", "-", "", "(", "", ")", "", ".", "", "/", "")
	number    = regexp.MustCompile(`^(\+?)([0-9]{7,17})$`)
	clockTime = regexp.MustCompile(`(?i)^([0-9]{1,2})(?:[:.]([0-9]{2}))?(?::00)?(?:\.0+)? ?(?:([ap])\.? ?m\.?)?$`)
)

var errPhone = core.Say("A phone number with its country code is needed, such as +14155550142.")

// phone reads a number as E.164 without its "+", so that one person has one
// number. A number without a country is one of the practice's country.
func (d *desk) phone(s core.Sensitive) (string, error) {
	m := number.FindStringSubmatch(marks.Replace(extension.ReplaceAllString(strings.TrimPrefix(plain(s.Reveal()), "tel:"), "")))
	if m == nil {
		return "", errPhone
	}
	n, country, america := m[2], m[1] == "+", d.country == "1"
	for _, prefix := range []string{"011", "00"} { // as dialed, before the country
		if rest, ok := strings.CutPrefix(n, prefix); !country && ok && (america || prefix == "00") {
			n, country = rest, true
		}
	}
	switch {
	case country, len(n) > 10 && n[0] != '0': // with its country, also where the "+" was left out
	case america && len(n) == 10:
		n = d.country + n
	case america: // without its area code
		return "", errPhone
	default:
		n = d.country + strings.TrimPrefix(n, "0")
	}
	if len(n) < 8 || len(n) > 15 || n[0] == '0' || n[0] == '1' && (len(n) != 11 || n[1] < '2') {
		return "", errPhone
	}
	return n, nil
}

// slotAt reads a time, such as 9:00, 09:00:00 or 9 AM, and returns it as the
// calendar has it. ok is false if the practice gives no such time.
func slotAt(s string) (slot string, ok bool) {
	m := clockTime.FindStringSubmatch(plain(s))
	if m == nil {
		return "", false
	}
	hour, _ := strconv.Atoi(m[1])
	minute, _ := strconv.Atoi(m[2]) // none is the full hour
	if m[3] != "" {
		if hour < 1 || hour > 12 {
			return "", false
		}
		hour = hour%12 + map[bool]int{true: 12}[strings.EqualFold(m[3], "p")]
	}
	slot = fmt.Sprintf("%02d:%02d", hour, minute)
	return slot, slices.Contains(slots(), slot)
}

// dayOf reads a date.
func dayOf(s string) (time.Time, error) {
	t, err := time.Parse("2006-1-2", plain(s))
	if err != nil {
		return t, core.Say("The date is needed as year, month and day, such as 2035-07-16.")
	}
	return t, nil
}

// named refuses what is not a name.
func named(name string) error {
	if plain(name) == "" || isPlaceholder(name) {
		return core.Say("The patient's full name is needed. Ask the caller for it.")
	}
	return nil
}

// sameName reports whether two spellings are one name.
func sameName(a, b string) bool {
	letters := func(s string) string {
		words := strings.FieldsFunc(strings.ToLower(plain(s)), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) })
		return strings.Join(words, " ")
	}
	return letters(a) != "" && letters(a) == letters(b)
}

// isPlaceholder reports whether a program wrote s in place of a value that it did
// not have.
func isPlaceholder(s string) bool {
	s = strings.ToLower(plain(s))
	if strings.Contains(s, "{{") || strings.Contains(s, "${") || strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		return true
	}
	return slices.Contains([]string{"undefined", "null", "none", "nil", "nan", "n/a", "unknown", "string", "[object object]"}, s)
}

// plain writes full-width characters, dashes and blanks as they are in ASCII, and
// leaves out what is invisible.
func plain(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case r >= '！' && r <= '～':
			return r - '！' + '!'
		case unicode.Is(unicode.Pd, r), r == '−':
			return '-'
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)), " ")
}

// zone returns the time zone with a rule of POSIX, such as
// "PST8PDT,M3.2.0,M11.1.0". Unlike time.LoadLocation it needs no database of
// zones, which a Worker does not have.
func zone(name, rule string) *time.Location {
	const head = "TZif2\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x04" // one zone, four bytes of its name
	const utc = "\x00\x00\x00\x00\x00\x00UTC\x00"
	l, err := time.LoadLocationFromTZData(name, []byte(head+utc+head+utc+"\n"+rule+"\n"))
	if err != nil {
		panic("app: a rule of a time zone is wrong")
	}
	return l
}
