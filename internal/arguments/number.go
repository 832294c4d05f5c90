package arguments

import (
	"errors"
	"strconv"
	"strings"
)

const (
	maxNumberText = 400 // bytes of a number; a float64 written out has at most 309 digits
	maxExponent   = 400 // outside of it a float64 is infinite or zero
	plainDigits   = 40  // longer numbers are written with an exponent
)

// A decimal is a number as it was written, exactly: ±digits·10^exp. Its digits
// have no zero at either end, so equal numbers are equal decimals; zero has none.
// RFC 8785 would make a float64 of it, in which 2^53+1 is 2^53.
type decimal struct {
	neg    bool
	digits string
	exp    int
}

// parseDecimal reads a number of JSON, and what people write for one: a plus, a
// zero in front, nothing before or after the point. Of a number that is too long,
// too large or too close to zero it returns what is known, and false; of anything
// else, the zero.
func parseDecimal(s string) (d decimal, ok bool) {
	text := s
	s, d.neg = cutSign(s)
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i+1:]
		e, negative := cutSign(exponent)
		n, err := strconv.ParseUint(e, 10, 16) // the largest, if it is out of range
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return decimal{}, false
		}
		if d.exp = int(n); negative {
			d.exp = -d.exp
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	d.digits = whole + fraction
	if d.digits == "" || strings.Trim(d.digits, "0123456789") != "" {
		return decimal{}, false
	}
	d.exp -= len(fraction)
	trimmed := strings.TrimRight(d.digits, "0")
	d.exp += len(d.digits) - len(trimmed)
	if d.digits = strings.TrimLeft(trimmed, "0"); d.digits == "" {
		return decimal{}, len(text) <= maxNumberText
	}
	size := d.size()
	return d, len(text) <= maxNumberText && -maxExponent < size && size < maxExponent
}

// size is the count of digits before the point, negative for zeros after it.
func (d decimal) size() int { return len(d.digits) + d.exp }

func cutSign(s string) (rest string, negative bool) {
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		return rest, true
	}
	return strings.TrimPrefix(s, "+"), false
}

// isWhole reports whether d has no fraction.
func (d decimal) isWhole() bool { return d.exp >= 0 }

// plain returns a whole number with all of its digits.
func (d decimal) plain() string {
	if d.digits == "" {
		return "0"
	}
	sign := ""
	if d.neg {
		sign = "-"
	}
	return sign + d.digits + strings.Repeat("0", d.exp)
}

// String returns the one form of the number that all its spellings share. It is
// a number of JSON.
func (d decimal) String() string {
	sign := ""
	if d.neg {
		sign = "-"
	}
	size := d.size()
	switch {
	case d.digits == "", d.exp >= 0 && size <= plainDigits:
		return d.plain()
	case d.exp < 0 && size > 0:
		return sign + d.digits[:size] + "." + d.digits[size:]
	case d.exp < 0 && size > -plainDigits/2:
		return sign + "0." + strings.Repeat("0", -size) + d.digits
	case len(d.digits) == 1:
		return sign + d.digits + "e" + strconv.Itoa(size-1)
	}
	return sign + d.digits[:1] + "." + d.digits[1:] + "e" + strconv.Itoa(size-1)
}

// compare returns -1, 0 or 1 for d below, equal to or above e.
func (d decimal) compare(e decimal) int {
	if d.sign() != e.sign() {
		return max(-1, min(1, d.sign()-e.sign()))
	}
	a, b := d, e
	if d.neg {
		a, b = e, d
	}
	sizes := a.size() - b.size()
	if a.digits == "" {
		return 0
	}
	if sizes != 0 {
		return max(-1, min(1, sizes))
	}
	return strings.Compare(a.digits, b.digits)
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// fits reports whether a float of the size in bits takes d: it is in the range,
// and if it is whole, not one digit is rounded.
func (d decimal) fits(bits int) bool {
	f, err := strconv.ParseFloat(d.String(), bits)
	if err != nil {
		return false
	}
	back, ok := parseDecimal(strconv.FormatFloat(f, 'f', -1, 64))
	if d.isWhole() {
		back, ok = parseDecimal(strconv.FormatFloat(f, 'f', 0, 64))
		return ok && back == d
	}
	return ok && (back.digits != "" || d.digits == "")
}
