package arguments

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A Query is the parameters of a URL, in their order.
type Query []parameter

type parameter struct{ name, value string }

// ParseQuery reads a query like a browser: a "%" that escapes nothing and a ";"
// are themselves, and bytes that are not UTF-8 become U+FFFD. So one odd
// parameter is never the loss of the others, and it is the same on a platform
// that decodes queries itself.
func ParseQuery(raw string) Query {
	var q Query
	for part := range strings.SplitSeq(raw, "&") {
		if part != "" {
			name, value, _ := strings.Cut(part, "=")
			q = append(q, parameter{unescape(name), unescape(value)})
		}
	}
	return q
}

func unescape(s string) string {
	if strings.ContainsAny(s, "%+") {
		b := make([]byte, 0, len(s))
		for i := 0; i < len(s); i++ {
			c := s[i]
			if c == '+' {
				c = ' '
			} else if c == '%' && i+2 < len(s) {
				if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
					c, i = byte(n), i+2
				}
			}
			b = append(b, c)
		}
		s = string(b)
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Get returns the first value of a parameter, or "".
func (q Query) Get(name string) string {
	for _, p := range q {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// of returns the value of an argument as JSON text, or nil. Lists are written as
// ids=1&ids=2, ids[]=1&ids[]=2, ids[0]=1&ids[1]=2, ids=1,2 or ids=[1,2]; objects as
// window[from]=…, window.from=… or JSON.
func (q Query) of(f field) jsontext.Value {
	var mine Query
	for _, p := range q {
		rest, ok := strings.CutPrefix(p.name, f.name)
		if ok && (rest == "" || rest[0] == '[' || rest[0] == '.' && (f.kind == object || f.kind == mapping)) {
			mine = append(mine, parameter{rest, p.value})
		}
	}
	return f.fromQuery(mine)
}

// fromQuery makes a value of parameters whose names are relative to it: "", "[]",
// "[0]", "[from]", ".from".
func (n *node) fromQuery(q Query) jsontext.Value {
	switch {
	case len(q) == 0:
		return nil
	case n.kind == list:
		return n.listFromQuery(q)
	case n.kind == object, n.kind == mapping:
		if q[0].name == "" {
			return quoted(q[0].value)
		}
		inner := map[string]jsontext.Value{}
		for key, sub := range q.byKey() {
			elem := n.elem
			if f := n.field(key); f != nil {
				elem = f.node
			}
			if elem != nil {
				inner[key] = elem.fromQuery(sub)
			}
		}
		return encode(inner)
	}
	return quoted(q[0].value)
}

func (n *node) listFromQuery(q Query) jsontext.Value {
	var items []jsontext.Value
	add := func(v jsontext.Value) { items = append(items, v) }
	if one := q[0]; len(q) == 1 && one.name == "" {
		if v := jsontext.Value(one.value); v.Kind() == '[' && isValid(v) {
			return v
		}
		for s := range strings.SplitSeq(one.value, ",") {
			add(quoted(strings.TrimSpace(s)))
		}
	} else {
		indexed := map[string]bool{}
		groups := q.byKey()
		for _, p := range q {
			key, rest := p.key()
			switch {
			case key == "": // each is an item
				add(n.elem.fromQuery(Query{{rest, p.value}}))
			case !indexed[key]:
				indexed[key] = true
				add(n.elem.fromQuery(groups[key]))
			}
		}
	}
	if len(items) == 1 && string(items[0]) == `""` {
		return quoted("") // nothing, as everywhere
	}
	return encodeList(items)
}

// key cuts the first key off a relative name. "" and "[]" have none.
func (p parameter) key() (key, rest string) {
	if inner, ok := strings.CutPrefix(p.name, "["); ok {
		key, rest, _ = strings.Cut(inner, "]")
		return key, rest
	}
	inner, _ := strings.CutPrefix(p.name, ".")
	if i := strings.IndexAny(inner, ".["); i >= 0 {
		return inner[:i], inner[i:]
	}
	return inner, ""
}

// byKey groups parameters by their first key.
func (q Query) byKey() map[string]Query {
	groups := map[string]Query{}
	for _, p := range q {
		key, rest := p.key()
		groups[key] = append(groups[key], parameter{rest, p.value})
	}
	return groups
}
