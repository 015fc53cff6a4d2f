package faults

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// Versions are whole milliseconds, so a silence is: less than one is a mistake, such as 60 for a minute, and a part
// of one counts whole.
func TestSilenceIsWholeMilliseconds(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	args := &argsOf{statement: "RequeueTasks"}
	s := taskstore.New(b.Connect(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = args }))
	for _, d := range []time.Duration{-time.Hour, 0, 60, time.Millisecond - 1} {
		_, err := s.RequeueStale(t.Context(), taskstore.Filter{}, d, 1)
		storetest.WantError(t, err, taskstore.ErrInvalid)
	}
	for d, want := range map[time.Duration]int64{
		time.Millisecond: 1, time.Millisecond + 1: 2, 2*time.Millisecond - 1: 2, time.Minute: 60_000, time.Minute + 1: 60_001,
	} {
		if _, err := s.RequeueStale(t.Context(), taskstore.Filter{}, d, 1); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(args.last, any(want)) {
			t.Errorf("a silence of %v: asked for %v, want %d ms", d, args.last, want)
		}
	}
}

// argsOf is a tracer that keeps the arguments of a statement.
type argsOf struct {
	statement string
	mu        sync.Mutex
	last      []any
}

func (a *argsOf) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.Contains(q.SQL, "-- name: "+a.statement+" ") {
		a.last = q.Args
	}
	return ctx
}

func (a *argsOf) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A task whose version lies ahead of the clock never seems silent by it. The Store that has seen the version stay
// the same for that long requeues it, and not one that is renewed.
func TestVersionAheadOfTheClock(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	s := storetest.NewStore(b.Pool)
	tomorrow := b.Now(t) + taskstore.Millis(24*time.Hour/time.Millisecond)
	silent := b.Row(t, taskstore.Processing, tomorrow, tomorrow)
	held := []taskstore.Task{b.Row(t, taskstore.Processing, tomorrow, tomorrow)}
	for {
		if err := s.Heartbeat(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		ids, err := s.RequeueStale(t.Context(), taskstore.Filter{}, 20*time.Millisecond, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) > 0 {
			storetest.WantIDs(t, "requeued", ids, silent.ID)
			break
		}
	}
	fresh := storetest.NewStore(b.Pool)
	ids, err := fresh.RequeueStale(t.Context(), taskstore.Filter{}, time.Millisecond, 10)
	if len(ids) > 0 || err != nil {
		t.Errorf("a Store that has seen nothing yet requeued %v, %v", ids, err)
	}
	if err := s.Complete(t.Context(), held...); err != nil {
		t.Error(err)
	}
}

// A claim whose commit was lost, and the claim of the same row that follows, do not give the same lease: where the
// version lies ahead of the clock, each adds a random step. So a worker of the lost one cannot end the other's.
func TestLeaseOfALostCommit(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	inAnHour := b.Now(t) + taskstore.Millis(time.Hour/time.Millisecond)
	var rows []taskstore.Task
	for range 10 {
		rows = append(rows, b.Row(t, taskstore.Pending, inAnHour, inAnHour))
	}
	lost := storetest.Claim(t, storetest.NewStore(b.Pool), len(rows))
	b.Exec(t, `ALTER TABLE tasks DISABLE TRIGGER tasks_guard_update`)
	b.Exec(t, `UPDATE tasks SET status = 0, updated_at = $1`, int64(inAnHour))
	b.Exec(t, `ALTER TABLE tasks ENABLE TRIGGER tasks_guard_update`)
	if got := storetest.Stored(t, b.Admin); !slices.Equal(got, rows) {
		t.Fatalf("the claim is not undone: %+v", got)
	}
	held := storetest.Claim(t, storetest.NewStore(b.Pool), len(rows))
	storetest.WantConflict(t, b.Store.Complete(t.Context(), lost...), storetest.IDs(rows)...)
	if err := b.Store.Complete(t.Context(), held...); err != nil {
		t.Error(err)
	}
}
