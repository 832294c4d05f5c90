package arguments

import (
	"encoding"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Shape is what the arguments of one tool look like. It is immutable.
type Shape struct {
	root   *node
	hidden []Hidden
	zone   *time.Location
}

// Of returns the shape of a struct type. Times without a zone are in zone. Its
// errors are mistakes in the program: a type that no argument can fill, or a tag
// that is wrong.
func Of(t reflect.Type, zone *time.Location) (*Shape, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("arguments of type %v, want a struct", t)
	}
	b := builder{zone: zone}
	root, err := b.node(t)
	if err != nil {
		return nil, err
	}
	if root.kind != object {
		return nil, fmt.Errorf("arguments of type %v, want a struct with fields", t)
	}
	if err := checkHidden(root); err != nil {
		return nil, err
	}
	s := &Shape{root: root, zone: zone}
	// Whatever passes Read must decode; this is the test of it, at the start.
	sample := root.sample()
	if err := s.Decode(sample, reflect.New(t).Interface()); err != nil && !root.custom {
		return nil, fmt.Errorf("%v cannot be decoded from %s: %w", t, sample, err)
	}
	s.hide()
	return s, nil
}

// Has reports whether the model may give an argument of this name.
func (s *Shape) Has(name string) bool { return s.root.field(name) != nil }

type kind int

const (
	anything kind = iota
	text
	integer
	number
	boolean
	list
	object  // of a struct
	mapping // of a map
	moment  // time.Time
	period  // time.Duration
	binary  // []byte, in base64
)

// A node is one type in a shape, with what the tags of its field add.
type node struct {
	kind     kind
	typ      reflect.Type
	nullable bool // a pointer
	custom   bool // the type decodes itself, so a value is tried on it
	exact    bool // keeps the digits of numbers: jsontext.Value
	bits     int  // of a number

	fields []field // of an object
	elem   *node   // of a list or a mapping; nil is anything
	length int     // of an array; -1 is any

	description string
	low, high   *decimal // bounds that the model is shown
	min, max    *decimal // bounds of the type
	enum        []jsontext.Value
	examples    []jsontext.Value
	pattern     *regexp.Regexp
	format      string
}

type field struct {
	name     string
	optional bool
	depth    int    // in how many structs that are embedded it is
	from     string // its tag; "" if the model gives it
	*node
}

func (n *node) field(name string) *field {
	for i := range n.fields {
		if n.fields[i].name == name {
			return &n.fields[i]
		}
	}
	return nil
}

type builder struct {
	zone *time.Location
	path []reflect.Type // of structs, to find cycles
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	bigIntType   = reflect.TypeFor[big.Int]()
	valueType    = reflect.TypeFor[jsontext.Value]()
)

// decodesItself reports whether a type has its own decoder for JSON, or for text.
func decodesItself(t reflect.Type) (fromJSON, fromText bool) {
	p := reflect.PointerTo(t)
	fromJSON = p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[json.UnmarshalerFrom]())
	return fromJSON, p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func (b *builder) node(t reflect.Type) (*node, error) {
	if t.Kind() == reflect.Pointer {
		n, err := b.node(t.Elem())
		if err != nil {
			return nil, err
		}
		n.nullable = true
		return n, nil
	}
	n := &node{typ: t, length: -1}
	fromJSON, fromText := decodesItself(t)
	switch {
	case t == timeType:
		n.kind, n.format = moment, "date-time"
		return n, nil
	case t == durationType:
		n.kind, n.format = period, "duration"
		return n, nil
	case t == bigIntType:
		n.kind = integer
		return n, nil
	case t == valueType || fromJSON && t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		n.exact = true // also a json.RawMessage
		return n, nil
	case fromText && !fromJSON:
		n.kind, n.custom = text, true
		return n, nil
	}
	n.custom = fromJSON
	err := b.fill(n, t)
	if fromJSON && (err != nil || n.kind == object && len(n.fields) == 0) {
		return &node{typ: t, custom: true, exact: true}, nil // only its description says what it takes
	}
	return n, err
}

// fill sets what follows from the kind of a type.
func (b *builder) fill(n *node, t reflect.Type) (err error) {
	switch k := t.Kind(); k {
	case reflect.String:
		n.kind = text
	case reflect.Bool:
		n.kind = boolean
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n.kind, n.bits = integer, t.Bits()
		n.min, n.max = whole(-1<<(n.bits-1)), whole(1<<(n.bits-1)-1)
		if n.bits < 64 && k != reflect.Int {
			n.low, n.high = n.min, n.max
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		n.kind, n.bits = integer, t.Bits()
		highest, _ := parseDecimal(strconv.FormatUint(1<<n.bits-1, 10))
		n.min, n.max, n.low = whole(0), &highest, whole(0)
		if n.bits < 64 && k != reflect.Uint {
			n.high = n.max
		}
	case reflect.Float32, reflect.Float64:
		n.kind, n.bits = number, t.Bits()
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("%v: nothing says which type to make of an argument; use a struct, or any", t)
		}
	case reflect.Slice, reflect.Array:
		return b.fillList(n, t)
	case reflect.Map:
		if _, fromText := decodesItself(t.Key()); t.Key().Kind() != reflect.String || fromText {
			return fmt.Errorf("%v: the names in an object are text, so the key must be a string", t)
		}
		n.kind = mapping
		n.elem, err = b.node(t.Elem())
	case reflect.Struct:
		return b.fillStruct(n, t)
	default:
		return fmt.Errorf("%v cannot be an argument", t)
	}
	return err
}

func (b *builder) fillList(n *node, t reflect.Type) (err error) {
	if t.Kind() == reflect.Array {
		n.length = t.Len()
	}
	if t.Elem() == reflect.TypeFor[byte]() {
		n.kind = binary
		return nil
	}
	n.kind = list
	n.elem, err = b.node(t.Elem())
	return err
}

func (b *builder) fillStruct(n *node, t reflect.Type) error {
	if slices.Contains(b.path, t) {
		return fmt.Errorf("%v contains itself; a model cannot be given its schema", t)
	}
	b.path = append(b.path, t)
	defer func() { b.path = b.path[:len(b.path)-1] }()
	n.kind = object
	if err := b.addFields(n, t, 0); err != nil {
		return err
	}
	if t.NumField() > 0 && len(n.fields) == 0 && !hasExported(t) {
		return fmt.Errorf("%v has no exported field to fill", t)
	}
	return nil
}

func hasExported(t reflect.Type) bool {
	for f := range t.Fields() {
		if f.IsExported() || f.Anonymous {
			return true
		}
	}
	return false
}

// addFields adds the fields of a struct, and those of the structs that it embeds
// unless an outer one has the name.
func (b *builder) addFields(n *node, t reflect.Type, depth int) error {
	for f := range t.Fields() {
		tag, tagged := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		if err := b.mayHide(f, name); err != nil {
			return fmt.Errorf("%v.%s: %w", t, f.Name, err)
		}
		if base := indirect(f.Type); f.Anonymous && name == "" && base.Kind() == reflect.Struct {
			if err := b.embed(n, base, depth+1); err != nil {
				return err
			}
			continue
		}
		switch {
		case name == "-":
			continue
		case !f.IsExported() && tagged:
			return fmt.Errorf("%v.%s has a name in JSON, and is not exported", t, f.Name)
		case !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		added, err := b.field(f, name, options)
		if err != nil {
			return fmt.Errorf("%v.%s: %w", t, f.Name, err)
		}
		added.depth = depth
		if err := n.add(added); err != nil {
			return fmt.Errorf("%v: %w", t, err)
		}
	}
	return nil
}

func (b *builder) embed(n *node, t reflect.Type, depth int) error {
	if fromJSON, fromText := decodesItself(t); fromJSON || fromText {
		return fmt.Errorf("%v is embedded, and so its decoder is that of the whole struct; give it a name", t)
	}
	if depth > maxAnyDepth {
		return fmt.Errorf("%v embeds itself", t)
	}
	return b.addFields(n, t, depth)
}

// add adds a field, or lets the outer one of two fields of a name stay.
func (n *node) add(f field) error {
	old := n.field(f.name)
	switch {
	case old == nil:
		n.fields = append(n.fields, f)
	case old.depth == f.depth:
		return fmt.Errorf("two fields are named %q", f.name)
	case f.depth < old.depth:
		*old = f
	}
	return nil
}

func (b *builder) field(f reflect.StructField, name, options string) (field, error) {
	added := field{name: name, optional: f.Type.Kind() == reflect.Pointer, from: f.Tag.Get("from")}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "", "case:ignore", "case:strict":
		case "omitempty", "omitzero":
			added.optional = true
		default:
			return added, fmt.Errorf("the option %q of its json tag does not go with arguments, which are converted anyway", option)
		}
	}
	if strings.ContainsAny(name, `'"\`) {
		return added, errors.New("the name in its json tag has quotes")
	}
	var err error
	if added.node, err = b.node(f.Type); err != nil {
		return added, err
	}
	return added, added.tag(f.Tag, b.zone)
}

func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func whole(n int64) *decimal {
	d, _ := parseDecimal(strconv.FormatInt(n, 10))
	return &d
}
