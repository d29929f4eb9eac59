package cloud

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is. It is the code of the HTTP contract and
// the name of the exceptions that the SDK throws.
type Kind string

const (
	BadRequest       Kind = "bad_request"
	Unauthenticated  Kind = "unauthenticated"
	Forbidden        Kind = "forbidden"
	NotFound         Kind = "not_found"
	MethodNotAllowed Kind = "method_not_allowed"
	Conflict         Kind = "conflict"
	TooLarge         Kind = "too_large"
	Invalid          Kind = "invalid"
	RateLimited      Kind = "rate_limited"
	Internal         Kind = "internal"
	ScriptError      Kind = "script_error"
	Unreachable      Kind = "unreachable" // a machine that a script called; thrown in scripts alone
	Overloaded       Kind = "overloaded"
	Timeout          Kind = "timeout"
	BudgetExceeded   Kind = "budget_exceeded"
)

// statuses is the one map from kinds to HTTP statuses.
var statuses = map[Kind]int{
	BadRequest: 400, Unauthenticated: 401, Forbidden: 403, NotFound: 404, MethodNotAllowed: 405, Conflict: 409,
	TooLarge: 413, Invalid: 422, RateLimited: 429, Internal: 500, ScriptError: 502, Unreachable: 502, Overloaded: 503, Timeout: 504, BudgetExceeded: 507,
}

// Status is the HTTP status of a kind; an unknown kind is the platform's fault: 500.
func (k Kind) Status() int {
	if s, ok := statuses[k]; ok {
		return s
	}
	return 500
}

// Error is a failure that may be shown to people. Msg says what happened and what to do;
// it never holds SQL, paths or stack traces. Cause is for the log only.
type Error struct {
	Kind  Kind
	Msg   string
	Cause error
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", e.Msg, e.Cause)
	}
	return e.Msg
}

func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error for people. It does not take %w: wrap a cause with WithCause.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// WithCause returns a copy of e that remembers err for the log.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.Cause = err
	return &c
}

// KindOf is the kind of err: that of the first Error in its chain, Overloaded for Trouble that
// may pass, Timeout for an expired deadline, Internal for everything else, "" for nil.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	case Passing(err):
		return Overloaded
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Internal
}

// Trouble is an error of what lies under the instance, such as its disk: no fault of the
// request, nor of a script. It words itself for people.
type Trouble interface {
	error
	Trouble() (text string, lasts bool) // lasts: trying again later can't help
}

// Passing reports that err comes from Trouble that may be over when the same is tried again.
func Passing(err error) bool {
	t, ok := troubleOf(err)
	if !ok {
		return false
	}
	_, lasts := t.Trouble()
	return !lasts
}

func troubleOf(err error) (t Trouble, ok bool) {
	ok = errors.As(err, &t)
	return t, ok
}

// Message is what a person may read of err: the text of an Error or of Trouble, and a fixed
// sentence for anything else.
func Message(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Msg
	}
	if t, ok := troubleOf(err); ok {
		text, _ := t.Trouble()
		return text
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "the time limit was reached"
	}
	return "something went wrong inside PiCloud; the instance's log has the details"
}
