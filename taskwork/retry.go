package taskwork

import (
	"errors"
	"math/rand/v2"
	"time"
)

// DefaultRetry tries again 25 times: after a second, then after twice as long each time, up to six hours, in all for
// almost three days. Each wait is shortened by up to a quarter at random, so that what failed together is not tried
// together.
func DefaultRetry(failures int, _ error) (in time.Duration, again bool) {
	const retries, longest = 25, 6 * time.Hour
	if failures > retries {
		return 0, false
	}
	in = longest
	if doubled := max(failures-1, 0); doubled < 15 { // beyond, it is longer than the longest
		in = min(time.Second<<doubled, longest)
	}
	return in - rand.N(in/4), true
}

// Permanent returns err as one after which a task is not tried again. nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ cause error }

func (e *permanentError) Error() string { return e.cause.Error() }
func (e *permanentError) Unwrap() error { return e.cause }

func isPermanent(err error) bool {
	var permanent *permanentError
	return errors.As(err, &permanent)
}
