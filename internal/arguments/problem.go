package arguments

import (
	"errors"
	"fmt"
)

var (
	// ErrNotObject reports arguments that are not an object at all.
	ErrNotObject = errors.New("arguments: not an object")

	// ErrWrapped reports arguments that are inside another object, as other
	// platforms send them: {"args":{…}}.
	ErrWrapped = errors.New("arguments: inside another object")
)

// A Problem is what is wrong with one argument. It never holds a value that was
// sent.
type Problem struct {
	Path string // "date", "window.to", "ids[1]"
	Must string // "must be a whole number", "is missing"
}

// Error returns a constant: the sentence is for the caller, not for the log.
func (p *Problem) Error() string { return "arguments: an argument is wrong" }

// Sentence returns the problem as a sentence for the model.
func (p *Problem) Sentence() string { return fmt.Sprintf("The argument %q %s.", p.Path, p.Must) }

func wrong(path, must string) error { return &Problem{Path: path, Must: must} }
