package aws

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// fields are the members of an object whose values are strings or lists of
// strings, in their order.
type fields []field

type field struct {
	name   string
	values []string
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (f *fields) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	open, err := d.ReadToken()
	if err != nil {
		return err
	}
	switch open.Kind() {
	case 'n':
		return nil
	case '{':
	default:
		return errors.ErrUnsupported
	}
	*f = make(fields, 0, 16)
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		one := field{name: name.String()}
		if one.values, err = readValues(d); err != nil {
			return err
		}
		*f = append(*f, one)
	}
	_, err = d.ReadToken()
	return err
}

// readValues reads a string, null, or a list of them.
func readValues(d *jsontext.Decoder) ([]string, error) {
	var values []string
	for depth := 0; ; {
		t, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		switch t.Kind() {
		case '"':
			values = append(values, t.String())
		case 'n':
			values = append(values, "")
		case '[':
			depth++
		case ']':
			depth--
		default:
			return nil, errors.ErrUnsupported
		}
		if depth == 0 {
			return values, nil
		}
		if depth > 1 {
			return nil, errors.ErrUnsupported
		}
	}
}

// text is a JSON string as bytes: a body of 6 MB is copied once.
type text []byte

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (t *text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	switch v.Kind() {
	case 'n':
		return nil
	case '"':
	default:
		return errors.ErrUnsupported
	}
	*t, err = jsontext.AppendUnquote(make([]byte, 0, len(v)), v)
	return err
}
