package core

import "github.com/serverurl/serverurl/internal/arguments"

// Sentences are what this package says in place of a tool's result, in one
// language: see [Processor.AddSentences]. The model reads them and may speak them as
// they are, so each says in plain words what happened and what to do next. In those
// about arguments, names in braces are replaced.
type Sentences struct {
	Failed        string // a read failed, or a change that was certainly not made
	Working       string // the tool still runs, and is asked for again
	TooSlow       string // the same, where nothing runs after the reply
	NotStarted    string // there was no time left to start
	TooMany       string // more calls in one request than are answered
	Uncertain     string // a change may have been made, and must not be made again
	SafeAgain     string // the same of an [Idempotent] tool, which may be asked again
	DoneBefore    string // it was done, and something else changed since
	Unreachable   string // the store cannot be reached, so nothing was started
	NoTool        string // there is no tool of the name
	CallOver      string // the call has ended
	TwoCalls      string // the request names two calls
	Unreadable    string // the arguments are not an object of JSON
	Wrapped       string // the arguments are inside another object
	NotConfigured string // a hidden argument has no value
	NoCall        string // an envelope without a call of a tool
	Done          string // a tool that changed something returned nothing
	Nothing       string // a [ReadOnly] tool returned nothing

	Arguments ArgumentSentences
}

// ArgumentSentences are those about one argument. The first four are sentences;
// the others are what stands for {what} in Wrong, alone or inside one another.
type ArgumentSentences struct {
	Missing    string `needs:"argument"`      // {argument} is required: `The argument "{argument}" is missing.`
	Wrong      string `needs:"argument what"` // {argument} must be {what}
	TooDeep    string `needs:"argument"`      // {argument} has too many objects inside one another
	LongNumber string `needs:"argument"`      // {argument} has numbers inside that would be rounded

	OneOf         string `needs:"values"`        // one of {values}
	SuchAs        string `needs:"what example"`  // {what} such as {example}
	Between       string `needs:"low high"`      // between {low} and {high}
	AtLeast       string `needs:"low"`           // at least {low}
	AtMost        string `needs:"high"`          // at most {high}
	NumberBetween string `needs:"what low high"` // {what} between {low} and {high}
	NumberAtLeast string `needs:"what low"`      // {what} of at least {low}
	NumberAtMost  string `needs:"what high"`     // {what} of at most {high}
	NotSoLarge    string `needs:"what"`          // {what} that is not so large
	NotSoLow      string `needs:"what"`          // {what} that is not so far below zero
	NotSoSmall    string `needs:"what"`          // {what} that is not so close to zero
	FewerZeros    string `needs:"what"`          // {what} without so many zeros in front
	FewerDigits   string `needs:"what digits"`   // {what} of at most {digits} digits
	Text          string // text
	Matching      string `needs:"pattern"` // text that matches {pattern}, a regular expression
	Date          string // a date
	DateTime      string // a date and a time
	Duration      string // a duration
	Email         string // an email address
	UUID          string // a UUID
	Base64        string // text in base64
	WholeNumber   string // a whole number
	Number        string // a number
	Boolean       string // true or false
	List          string // a list
	ListOf        string `needs:"count"` // a list of {count}
	Object        string // an object
	DescribedText string // text of the form that its description gives
	Described     string // as its description says
}

// English returns the sentences of English, which are spoken unless something else
// is chosen.
func English() Sentences {
	return Sentences{
		Failed:        "Sorry, that did not work just now. Offer to take a message for the office.",
		Working:       "That is still being worked on. Ask the caller for a moment, then ask again.",
		TooSlow:       "That takes too long just now. Ask once more, or offer to take a message for the office.",
		NotStarted:    "That has not been started, and nothing was changed. Ask again in a moment.",
		TooMany:       "That is too much at once, so this was not started, and nothing was changed. Ask for less at a time.",
		Uncertain:     "It is not certain whether that went through. Do not try it again; ask the caller to check with the office.",
		SafeAgain:     "It is not certain whether that went through. It does no harm to ask once more.",
		DoneBefore:    "That was done before and was not done again now. Check how it stands before you tell the caller.",
		Unreachable:   "Sorry, the system cannot be reached just now, and nothing was changed. Offer to take a message for the office.",
		NoTool:        "There is no such tool here.",
		CallOver:      "The call is over, so nothing was changed.",
		TwoCalls:      "It is not certain which call that is for, so nothing was changed.",
		Unreadable:    "The arguments could not be read. Call the tool again with a JSON object of its arguments.",
		Wrapped:       "The arguments came in a form that this tool does not take, so nothing was done. Offer to take a message for the office.",
		NotConfigured: "Sorry, that cannot be done from here just now, and nothing was changed. Offer to take a message for the office.",
		NoCall:        "That request asks for no tool, so nothing was done.",
		Done:          "Done.",
		Nothing:       "There is nothing to report.",
		Arguments:     ArgumentSentences(arguments.English()),
	}
}

// Spanish returns the sentences of Spanish.
func Spanish() Sentences {
	return Sentences{
		Failed:        "Lo siento, eso no ha funcionado en este momento. Ofrezca tomar un mensaje para la oficina.",
		Working:       "Todavía se está trabajando en eso. Pida un momento a quien llama y vuelva a preguntar.",
		TooSlow:       "Eso tarda demasiado en este momento. Pregunte una vez más u ofrezca tomar un mensaje para la oficina.",
		NotStarted:    "Eso no se ha empezado y no se ha cambiado nada. Vuelva a preguntar en un momento.",
		TooMany:       "Eso es demasiado a la vez, así que no se ha empezado y no se ha cambiado nada. Pida menos cada vez.",
		Uncertain:     "No es seguro que eso se haya hecho. No lo intente de nuevo; pida a quien llama que lo confirme con la oficina.",
		SafeAgain:     "No es seguro que eso se haya hecho. No hay problema en pedirlo una vez más.",
		DoneBefore:    "Eso ya se hizo antes y no se ha vuelto a hacer ahora. Compruebe cómo está antes de decírselo a quien llama.",
		Unreachable:   "Lo siento, no se puede acceder al sistema en este momento y no se ha cambiado nada. Ofrezca tomar un mensaje para la oficina.",
		NoTool:        "Aquí no existe esa herramienta.",
		CallOver:      "La llamada ha terminado, así que no se ha cambiado nada.",
		TwoCalls:      "No es seguro de qué llamada se trata, así que no se ha cambiado nada.",
		Unreadable:    "No se han podido leer los argumentos. Llame a la herramienta otra vez con un objeto JSON de sus argumentos.",
		Wrapped:       "Los argumentos han llegado en una forma que esta herramienta no acepta, así que no se ha hecho nada. Ofrezca tomar un mensaje para la oficina.",
		NotConfigured: "Lo siento, eso no se puede hacer desde aquí en este momento y no se ha cambiado nada. Ofrezca tomar un mensaje para la oficina.",
		NoCall:        "Esa petición no pide ninguna herramienta, así que no se ha hecho nada.",
		Done:          "Hecho.",
		Nothing:       "No hay nada de que informar.",
		Arguments:     ArgumentSentences(arguments.Spanish()),
	}
}

// about returns the sentence about what is wrong with an argument.
func (s *Sentences) about(p *arguments.Problem) string {
	return p.Sentence((*arguments.Words)(&s.Arguments))
}
