package arguments

import "errors"

var (
	// ErrNotObject reports arguments that are not an object at all.
	ErrNotObject = errors.New("arguments: not an object")

	// ErrWrapped reports arguments that are inside another object, as other
	// platforms send them: {"args":{…}}.
	ErrWrapped = errors.New("arguments: inside another object")
)

// A Problem is what is wrong with one argument. It never shows a value that was
// sent.
type Problem struct {
	Path string // "date", "window.to", "ids[1]"

	sentence func(w *Words) string // the template
	what     func(w *Words) string // what the argument must be, may be nil
}

// Error returns a constant: the sentence is for the caller, not for the log.
func (p *Problem) Error() string { return "arguments: an argument is wrong" }

// Sentence returns the problem as a sentence for the model.
func (p *Problem) Sentence(w *Words) string {
	what := ""
	if p.what != nil {
		what = p.what(w)
	}
	return fill(p.sentence(w), "argument", p.Path, "what", what)
}

func missing(path string) error {
	return &Problem{Path: path, sentence: func(w *Words) string { return w.Missing }}
}

func wrong(path string, what func(*Words) string) error {
	return &Problem{Path: path, sentence: func(w *Words) string { return w.Wrong }, what: what}
}

func tooDeep(w *Words) string    { return w.TooDeep }
func longNumber(w *Words) string { return w.LongNumber }
