package arguments

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Words are what is said about arguments, in one language. A name in braces is
// replaced. core.ArgumentSentences, which is converted to it, says what each is for.
type Words struct {
	Missing, Wrong, TooDeep, LongNumber string

	OneOf, SuchAs, Between, AtLeast, AtMost                    string
	NumberBetween, NumberAtLeast, NumberAtMost                 string
	NotSoLarge, NotSoLow, NotSoSmall, FewerZeros, FewerDigits  string
	Text, Matching, Date, DateTime, Duration, Email, UUID      string
	Base64, WholeNumber, Number, Boolean, List, ListOf, Object string
	DescribedText, Described                                   string
}

// english is for the errors of a program's start, and for schemas.
var english = English()

// English returns the words of English.
func English() Words {
	return Words{
		Missing:    `The argument "{argument}" is missing.`,
		Wrong:      `The argument "{argument}" must be {what}.`,
		TooDeep:    `The argument "{argument}" must not be nested as deeply.`,
		LongNumber: `The argument "{argument}" must have numbers of at most 15 digits; longer ones as text.`,

		OneOf: "one of {values}", SuchAs: "{what} such as {example}",
		Between: "between {low} and {high}", AtLeast: "at least {low}", AtMost: "at most {high}",
		NumberBetween: "{what} between {low} and {high}", NumberAtLeast: "{what} of at least {low}", NumberAtMost: "{what} of at most {high}",
		NotSoLarge: "{what} that is not so large", NotSoLow: "{what} that is not so far below zero",
		NotSoSmall: "{what} that is not so close to zero", FewerZeros: "{what} without so many zeros", FewerDigits: "{what} of at most {digits} digits",
		Text: "text", Matching: "text that matches {pattern}", Date: "a date", DateTime: "a date and a time", Duration: "a duration",
		Email: "an email address", UUID: "a UUID", Base64: "text in base64", WholeNumber: "a whole number", Number: "a number",
		Boolean: "true or false", List: "a list", ListOf: "a list of {count}", Object: "an object",
		DescribedText: "text of the form that its description gives", Described: "as its description says",
	}
}

// Spanish returns the words of Spanish.
func Spanish() Words {
	return Words{
		Missing:    `Falta el argumento "{argument}".`,
		Wrong:      `El argumento "{argument}" debe ser {what}.`,
		TooDeep:    `El argumento "{argument}" no debe estar tan anidado.`,
		LongNumber: `Los números del argumento "{argument}" deben tener 15 cifras como máximo; los más largos, como texto.`,

		OneOf: "uno de {values}", SuchAs: "{what}, por ejemplo {example}",
		Between: "un valor entre {low} y {high}", AtLeast: "{low} como mínimo", AtMost: "{high} como máximo",
		NumberBetween: "{what} entre {low} y {high}", NumberAtLeast: "{what} de {low} como mínimo", NumberAtMost: "{what} de {high} como máximo",
		NotSoLarge: "{what} no tan grande", NotSoLow: "{what} que no esté tan por debajo de cero",
		NotSoSmall: "{what} que no esté tan cerca de cero", FewerZeros: "{what} sin tantos ceros", FewerDigits: "{what} de {digits} cifras como máximo",
		Text: "un texto", Matching: "un texto que cumpla {pattern}", Date: "una fecha", DateTime: "una fecha y una hora", Duration: "una duración",
		Email: "una dirección de correo electrónico", UUID: "un UUID", Base64: "un texto en base64", WholeNumber: "un número entero", Number: "un número",
		Boolean: "true o false", List: "una lista", ListOf: "una lista de {count}", Object: "un objeto",
		DescribedText: "un texto de la forma que da su descripción", Described: "como dice su descripción",
	}
}

// fill replaces names in braces: fill("at least {low}", "low", "1"). What is put
// in is not looked at again.
func fill(template string, pairs ...string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				b.WriteString(pairs[i+1])
			}
		}
		template = after
	}
}

// must says what a value must be: "a whole number between 1 and 20".
func (n *node) must(w *Words) string {
	switch {
	case len(n.enum) == 1:
		return string(n.enum[0])
	case len(n.enum) > 1:
		return fill(w.OneOf, "values", valuesText(n.enum))
	case n.pattern != nil:
		return n.suchAs(w, fill(w.Matching, "pattern", n.pattern.String()), "")
	case n.format != "":
		f := formats[n.format]
		return n.suchAs(w, f.words(w), f.example)
	}
	return n.suchAs(w, n.withBounds(w), "")
}

func valuesText(vs []jsontext.Value) string {
	return string(bytes.Join(bytesOf(vs), []byte(", ")))
}

// suchAs adds an example if there is one.
func (n *node) suchAs(w *Words, what, example string) string {
	if len(n.examples) > 0 {
		example = strings.Trim(string(n.examples[0]), `"`)
	}
	if example == "" {
		return what
	}
	return fill(w.SuchAs, "what", what, "example", example)
}

func (n *node) kindWords(w *Words) string {
	switch {
	case n.custom && n.kind == text:
		return w.DescribedText
	case n.custom:
		return w.Described
	}
	switch n.kind {
	case text, moment, period:
		return w.Text
	case binary:
		return w.Base64
	case integer:
		return w.WholeNumber
	case number:
		return w.Number
	case boolean:
		return w.Boolean
	case list:
		if n.length >= 0 {
			return fill(w.ListOf, "count", strconv.Itoa(n.length))
		}
		return w.List
	case object, mapping:
		return w.Object
	case anything:
	}
	return w.Described
}

// withBounds says of what kind a value is, and what the model is shown of its
// bounds.
func (n *node) withBounds(w *Words) string {
	what := n.kindWords(w)
	switch {
	case n.low != nil && n.high != nil:
		return fill(w.NumberBetween, "what", what, "low", n.low.String(), "high", n.high.String())
	case n.low != nil:
		return fill(w.NumberAtLeast, "what", what, "low", n.low.String())
	case n.high != nil:
		return fill(w.NumberAtMost, "what", what, "high", n.high.String())
	}
	return what
}

// mustFit says what is wrong with a number.
func (n *node) mustFit(w *Words, d decimal) string {
	low, high := n.low, n.high
	if low == nil {
		low = n.min
	}
	if high == nil {
		high = n.max
	}
	switch {
	case len(n.enum) > 0, n.kind == integer && !d.isWhole():
		return n.must(w)
	case n.isWithin(d):
		return n.size(w, d)
	case n.low != nil && n.high != nil:
		return fill(w.Between, "low", n.low.String(), "high", n.high.String())
	case low != nil && d.compare(*low) < 0:
		return fill(w.AtLeast, "low", low.String())
	}
	return fill(w.AtMost, "high", high.String())
}

// size says what a number must be that is within the bounds, if any, and that its
// type cannot hold.
func (n *node) size(w *Words, d decimal) string {
	what := n.kindWords(w)
	isHuge, isTiny := d.size() >= maxExponent, false
	if n.kind == number {
		f, err := strconv.ParseFloat(d.String(), n.bits)
		isHuge, isTiny = err != nil, f == 0 && d.digits != ""
	}
	switch {
	case isHuge && d.neg:
		return fill(w.NotSoLow, "what", what)
	case isHuge:
		return fill(w.NotSoLarge, "what", what)
	case isTiny:
		return fill(w.NotSoSmall, "what", what)
	case n.kind == integer:
		return fill(w.FewerZeros, "what", what) // in front of it
	case n.bits == 32:
		return fill(w.FewerDigits, "what", what, "digits", "7")
	}
	return fill(w.FewerDigits, "what", what, "digits", "15") // it would be rounded
}
