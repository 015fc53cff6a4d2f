package race

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/tasklane/tasks/taskstore"
)

// lease is a small model of one task: what the table says of it, as far as any caller was told. Whoever knows the
// version of a row in processing holds its lease.
type lease struct {
	status  taskstore.Status
	version taskstore.Millis // 0: a change nobody was told the version of
	floor   taskstore.Millis // the highest version that anybody was told of: each new one lies above it
}

// moved is the lease after a change to a version that nobody was told.
func (l lease) moved(to taskstore.Status) lease { return lease{status: to, floor: l.floor} }

// told is the lease after a change to a version that its maker was told.
func (l lease) told(to taskstore.Status, version taskstore.Millis) lease {
	return lease{status: to, version: version, floor: version}
}

func (l lease) heldBy(version taskstore.Millis) bool {
	return l.status == taskstore.Processing && l.version == version
}

// step is what one call did to one task: its input and its outcome.
type step struct {
	kind    stepKind
	version taskstore.Millis // that the caller presented
	to      taskstore.Status // that the caller asked for, or that a read found
	got     taskstore.Millis // the version that the call returned
	outcome outcome
}

type stepKind string

const (
	stepClaim     stepKind = "claim"
	stepHeartbeat stepKind = "heartbeat"
	stepEnd       stepKind = "end"     // complete, fail, release
	stepRequeue   stepKind = "requeue" // a task that it returned
	stepRetry     stepKind = "retry"
	stepUpdate    stepKind = "update" // of other columns, on the version presented
	stepRead      stepKind = "read"
	stepReset     stepKind = "reset" // an operator's: the status alone
	stepTouch     stepKind = "touch" // a foreign program's: no status, no newer version
	stepSave      stepKind = "save"  // a foreign program's: the status too, from a stale copy
)

type outcome string

const (
	tookPlace  outcome = "done"
	wasRefused outcome = "refused"
	isUnknown  outcome = "unknown" // the connection broke: it may have happened, or may yet
)

// after returns what l may have become by s, or nothing if s cannot have had this outcome.
func (s step) after(l lease) []lease {
	next, can := s.effect(l)
	switch {
	case s.outcome == isUnknown && can:
		return []lease{l, next}
	case s.outcome == tookPlace && can:
		return []lease{next}
	case s.outcome == tookPlace, s.outcome == wasRefused && can:
		return nil
	default:
		return []lease{l}
	}
}

// effect returns what s makes of l where it is carried out, and whether it can be.
func (s step) effect(l lease) (lease, bool) {
	switch s.kind {
	case stepClaim:
		return l.told(taskstore.Processing, s.got), l.status == taskstore.Pending && s.got > l.floor
	case stepHeartbeat:
		if s.outcome == isUnknown {
			return l.moved(l.status), l.heldBy(s.version)
		}
		if s.outcome == tookPlace && s.got == s.version {
			return l, l.heldBy(s.version) // passed by a locked row: still held
		}
		return l.told(l.status, s.got), l.heldBy(s.version) && (s.got > l.floor || s.outcome == wasRefused)
	case stepEnd:
		return l.moved(s.to), l.heldBy(s.version)
	case stepRequeue:
		return l.moved(taskstore.Pending), l.status == taskstore.Processing
	case stepRetry:
		return l.moved(taskstore.Pending), l.status == taskstore.Failed
	case stepUpdate:
		if s.outcome == isUnknown {
			return l.moved(l.status), l.version == s.version
		}
		return l.told(l.status, s.got), l.version == s.version && (s.got > l.floor || s.outcome == wasRefused)
	case stepRead:
		known := l.version == s.got || l.version == 0 && s.got > l.floor
		return l.told(l.status, s.got), l.status == s.to && known
	case stepReset:
		return l.moved(s.to), true
	case stepTouch:
		if l.status == taskstore.Processing {
			return l, true // keeps its lease
		}
		return l.moved(l.status), true
	case stepSave:
		if l.status == taskstore.Processing && s.to == taskstore.Processing {
			return l, true
		}
		return l.moved(s.to), true
	}
	panic("no such step: " + s.kind)
}

// leaseModel is the model for porcupine, which looks for an order of a task's steps that explains every
// outcome and agrees with the times at which the calls began and returned. A task starts out pending.
var leaseModel = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{lease{}} },
	Step: func(state, input, _ any) []any {
		var next []any
		for _, l := range input.(step).after(state.(lease)) {
			next = append(next, l)
		}
		return next
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
}).ToModel()

// never is when a call returns whose outcome nobody knows.
const never = math.MaxInt64

// timeline is the history of one task.
type timeline []porcupine.Operation

// add notes that the client's call did s between two times. A call of isUnknown outcome never returns.
func (h *timeline) add(client int, s step, called, returned int64) {
	if s.outcome == isUnknown {
		returned = never
	}
	*h = append(*h, porcupine.Operation{ClientId: client, Input: s, Call: called, Return: returned})
}

// explained reports whether some order of its steps explains h.
func (h timeline) explained(t *testing.T) bool {
	t.Helper()
	result := porcupine.CheckOperationsTimeout(leaseModel, h, time.Minute)
	if result == porcupine.Unknown {
		t.Error("no verdict within a minute")
	}
	return result == porcupine.Ok
}

// String has a line for each step, in the order of the calls, with times in microseconds.
func (h timeline) String() string {
	h = slices.Clone(h)
	slices.SortFunc(h, func(a, b porcupine.Operation) int { return int((a.Call - b.Call) / 1000) })
	var s string
	for _, op := range h {
		s += fmt.Sprintf("%10d %10d client %2d %+v\n", op.Call/1000, op.Return/1000, op.ClientId, op.Input)
	}
	return s
}
