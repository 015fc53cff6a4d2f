package taskstore

import (
	"errors"
	"fmt"
	"testing"
)

func TestConflictErrorNamesTheTasks(t *testing.T) {
	t.Parallel()
	many := make([]int64, 25)
	for i := range many {
		many[i] = int64(i + 1)
	}
	for _, c := range []struct {
		ids  []int64
		want string
	}{
		{[]int64{7}, "conflict: no longer held: tasks 7"},
		{[]int64{-3, 7, 9}, "conflict: no longer held: tasks -3 7 9"},
		{many[:10], "conflict: no longer held: tasks 1 2 3 4 5 6 7 8 9 10"},
		{many, "conflict: no longer held: tasks 1 2 3 4 5 6 7 8 9 10 and 15 more"},
	} {
		err := fail(&ConflictError{IDs: c.ids}, "complete %d tasks", 30)
		if want := "taskstore: complete 30 tasks: " + c.want; err.Error() != want {
			t.Errorf("error is %q, want %q", err, want)
		}
		var conflict *ConflictError
		if !errors.Is(err, ErrConflict) || !errors.As(err, &conflict) || len(conflict.IDs) != len(c.ids) {
			t.Errorf("error %q is no ConflictError of %d tasks", err, len(c.ids))
		}
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrInvalid) {
			t.Errorf("error %q is of another kind, too", err)
		}
	}
}

func TestErrorsSayOperationKindAndReason(t *testing.T) {
	t.Parallel()
	cause := errors.New("the cause")
	for _, c := range []struct {
		cause error
		kind  error
		want  string
	}{
		{cause, nil, "taskstore: update task 7: the cause"},
		{errChanged, ErrConflict, "taskstore: update task 7: conflict: changed since it was read"},
		{invalid("limit %d", 9), ErrInvalid, "taskstore: update task 7: invalid input: limit 9"},
		{&inputError{reason: "a reason", cause: cause}, ErrInvalid, "taskstore: update task 7: invalid input: a reason"},
	} {
		err := fmt.Errorf("wrapped: %w", fail(c.cause, "update task %d", 7))
		if got := err.Error(); got != "wrapped: "+c.want {
			t.Errorf("error is %q, want %q", got, c.want)
		}
		if !errors.Is(err, c.cause) {
			t.Errorf("error %q hides its cause", err)
		}
		for _, kind := range []error{ErrConflict, ErrInvalid, ErrNotFound} {
			if got, want := errors.Is(err, kind), errors.Is(c.kind, kind); got != want {
				t.Errorf("error %q is %q: %v, want %v", err, kind, got, want)
			}
		}
	}
	if err := fail(nil, "nothing"); err != nil {
		t.Errorf("no error became %q", err)
	}
}
