// Package pgvalue computes what a server makes of the constants of a statement before it
// stores or compares them: what a literal means, and what casts do to it. A literal that is
// sealed never reaches the server, so its conversions have to happen here.
//
// There are three answers: the value, exactly as the server would have it; a limit that the
// value of a parameter has to keep to; or an [Error], after which the statement is refused.
// Nothing is converted on a guess, so what the server does not take is always an Error, and
// some of what it takes is too.
package pgvalue

// Error says why a constant or a cast is not converted. It holds nothing of the value.
type Error struct {
	Reason string
	Hint   string
}

func (e *Error) Error() string { return e.Reason }
