package app

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/serverurl/serverurl/core"
)

// What people and models write is compared by what it means: this file reads
// numbers, days, times and names in their usual spellings.

var (
	extension = regexp.MustCompile(`(?i)[\s,;]*(?:extension|ext|x|#)[\s.:=]*\d{1,6}$`)
	marks     = strings.NewReplacer("(0)", "", " ", "", "-", "", "(", "", ")", "", ".", "", "/", "")
	number    = regexp.MustCompile(`^(\+?)([0-9]{7,17})$`)
	clockTime = regexp.MustCompile(`^(?:at )?(?:(\d{4}-\d\d?-\d\d?)[t ])?t?(\d{1,2})(?:[:.h]?(\d{2}))?(?::(\d{2}))?(?:\.0+)?` +
		`(?: ?(?:(o.?clock)|h|hrs?|hours))?(?: ?([ap])\.? ?(?:m\.?)?)?([+-]\d{2}:?\d{2})?$`)
	dayTimes = strings.NewReplacer(" in the morning", " am", " in the afternoon", " pm", " in the evening", " pm",
		"12:00 noon", "12 pm", "12 noon", "12 pm", "noon", "12 pm", "midday", "12 pm", "midnight", "12 am")
	template = regexp.MustCompile(`[{}]|^<.*>$|^\[.*\]$|^%|^\$[A-Za-z_]`)
	camel    = regexp.MustCompile(`([a-z])([A-Z])`)
)

var (
	errPhone = core.Say("A phone number with its country code is needed, such as +14155550142.")
	errTime  = core.Say("The time is needed as hours and minutes, such as 09:45.")
)

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

// slotOf reads a day and a time, which the practice need not give.
func (d *desk) slotOf(day, at string) (e entry, date time.Time, err error) {
	if date, err = dayOf(day); err != nil {
		return e, date, err
	}
	e.Date = date.Format(dayLayout)
	e.Time, err = d.timeOf(at, date)
	return e, date, err
}

// timeOf reads a time of a day, such as 9:00, 09:00:00, 9 AM or noon, and returns
// it as the calendar has it. What names another day, or the clock of another
// place, is not guessed at.
func (d *desk) timeOf(s string, date time.Time) (string, error) {
	m := clockTime.FindStringSubmatch(dayTimes.Replace(strings.ToLower(plain(s))))
	if m == nil {
		return "", errTime
	}
	hour, _ := strconv.Atoi(m[2])
	minute, _ := strconv.Atoi(m[3]) // none is the full hour
	second, _ := strconv.Atoi(m[4])
	switch oclock, half := m[5] != "", m[6]; {
	case half != "" && (hour < 1 || hour > 12), hour > 23, minute > 59, second > 59:
		return "", errTime
	case half != "":
		hour = hour%12 + map[string]int{"p": 12}[half]
	case oclock && hour > 0 && hour < 9: // the practice is closed then, but open twelve hours later
		hour += 12
	}
	at := time.Date(date.Year(), date.Month(), date.Day(), hour, minute, second, 0, d.zone)
	if offset := strings.ReplaceAll(m[7], ":", ""); offset != "" && offset != at.Format("-0700") {
		return "", errTime
	}
	if day, err := dayOf(m[1]); m[1] != "" && (err != nil || !day.Equal(date)) {
		return "", errTime
	}
	return strings.TrimSuffix(fmt.Sprintf("%02d:%02d:%02d", hour, minute, second), ":00"), nil
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
	if isPlaceholder(name) {
		return core.Say("The patient's full name is needed. Ask the caller for it.")
	}
	return nil
}

// sameName reports whether two spellings are one name, whichever of its parts
// comes first.
func sameName(a, b string) bool {
	x, y := words(a), words(b)
	slices.Sort(x)
	slices.Sort(y)
	return len(x) > 0 && slices.Equal(x, y)
}

// isPlaceholder reports whether s says nothing: it has no letter, is a variable
// that nobody filled in, or has no word but those for something not known.
func isPlaceholder(s string) bool {
	s = plain(s)
	if template.MatchString(s) {
		return true
	}
	s = strings.ReplaceAll(strings.ToLower(camel.ReplaceAllString(s, "$1 $2")), "n/a", "none")
	return !slices.ContainsFunc(words(s), func(w string) bool { return !slices.Contains(empty, w) })
}

var empty = strings.Fields(`undefined null none nil nan unknown string object missing empty ref tbd tba todo placeholder anonymous
	no not yet provided given available specified applicable known by here insert enter your the
	caller callers customer customers patient patients client user guest name names fullname username firstname lastname full first last service services`)

// words returns the words of s without what one program or keyboard writes and
// another does not: capitals, accents, punctuation, and the form of Unicode. It
// does with a table of its own, as those of Unicode are too big for a Worker.
func words(s string) []string {
	var b strings.Builder
	for _, r := range unaccent.Replace(strings.ToLower(plain(s))) {
		switch {
		case unicode.Is(unicode.Mn, r) && unicode.In(r, unicode.Inherited, unicode.Hebrew), strings.ContainsRune("'’‘`´ʼʻ", r):
		case r >= '가' && r <= '힣': // a syllable of Hangul is two or three letters
			n := r - '가'
			b.WriteString(string([]rune{0x1100 + n/588, 0x1161 + n%588/28}))
			if n%28 > 0 {
				b.WriteRune(0x11a7 + n%28)
			}
		case unicode.IsLetter(r), unicode.IsMark(r): // in some scripts a vowel is a mark
			b.WriteRune(r)
		default:
			b.WriteByte(' ')
		}
	}
	return slices.DeleteFunc(strings.Fields(b.String()), func(w string) bool { return !strings.ContainsFunc(w, unicode.IsLetter) })
}

// unaccent replaces small letters with what they are based on.
var unaccent = func() *strings.Replacer {
	pairs := strings.Fields("ß ss æ ae ǽ ae ǣ ae œ oe þ th ĳ ij")
	for family := range strings.FieldsSeq(families) {
		base, size := utf8.DecodeRuneInString(family)
		for _, r := range family[size:] {
			pairs = append(pairs, string(r), string(base))
		}
	}
	return strings.NewReplacer(pairs...)
}()

// families has a base letter before those that differ from it by a mark.
const families = `
	aàáâãäåāăąǎǟǡǻȁȃȧḁạảấầẩẫậắằẳẵặ bḃḅḇ cçćĉċčḉ dďḋḍḏḑḓđð eèéêëēĕėęěȅȇȩḕḗḙḛḝẹẻẽếềểễệ fḟ gĝğġģǧǵḡ hĥȟḣḥḧḩḫẖħ
	iìíîïĩīĭįǐȉȋḭḯỉịı jĵǰ kķǩḱḳḵ lĺļľḷḹḻḽł mḿṁṃ nñńņňǹṅṇṉṋŋŉ oòóôõöōŏőơǒǫǭȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợøǿ pṕṗ rŕŗřȑȓṙṛṝṟ
	sśŝşšșṡṣṥṧṩſẛ tţťțṫṭṯṱẗŧ uùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữự vṽṿ wŵẁẃẅẇẉẘ xẋẍ yýÿŷȳẏẙỳỵỷỹ zźżžẑẓẕ
	αά εέ ηή ιΐίϊ οό υΰϋύ ωώ аӑӓ гѓ еѐёӗ жӂӝ зӟ ийѝӣӥ кќ оӧ уўӯӱӳ чӵ ыӹ эӭ ії ѵѷ әӛ өӫ σς اآأإ وؤ يئ
	うゔ かが きぎ くぐ けげ こご さざ しじ すず せぜ そぞ ただ ちぢ つづ てで とど はばぱ ひびぴ ふぶぷ へべぺ ほぼぽ ゝゞ ウヴ カガ キギ クグ ケゲ コゴ サザ シジ スズ セゼ ソゾ タダ チヂ ツヅ テデ トド
	ハバパ ヒビピ フブプ ヘベペ ホボポ ワヷ ヰヸ ヱヹ ヲヺ ヽヾ`

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
