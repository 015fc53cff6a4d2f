//go:build unix

package access

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func TestPgBouncerEveryMethod(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	p := b.Through(t, 2, 100)
	for _, mode := range p.Modes() {
		pool := p.Pool(t, mode, 4)
		everyMethod(t, b, pool)
		pool.Close()
		if t.Failed() {
			t.Fatalf("in mode %s", mode)
		}
	}
}

// Many clients share few server connections: each task is worked on once all the same.
func TestPgBouncerWorkersShareConnections(t *testing.T) {
	t.Parallel()
	const workers, tasks = 8, 400
	b := storetest.Setup(t)
	p := b.Through(t, 3, 100)
	for _, mode := range p.Modes() {
		b.Exec(t, `TRUNCATE tasks`)
		pool := p.Pool(t, mode, workers)
		s := storetest.NewStore(pool)
		var mu sync.Mutex
		var worked []int64
		var done []<-chan error
		for w := range workers {
			done = append(done, storetest.Start(func() error {
				return work(t, s, pool, w, tasks/workers, func(ids []int64) {
					mu.Lock()
					defer mu.Unlock()
					worked = append(worked, ids...)
				})
			}))
		}
		for _, d := range done {
			if err := <-d; err != nil {
				t.Fatalf("mode %s: %v", mode, err)
			}
		}
		slices.Sort(worked)
		rows := storetest.Stored(t, b.Pool)
		storetest.WantIDs(t, "worked on in mode "+mode, worked, storetest.IDs(rows)...)
		if n := storetest.One[int64](t, b.Pool, `SELECT count(*) FROM tasks WHERE status = 2`); n != tasks ||
			len(rows) != tasks {
			t.Errorf("mode %s: %d of %d tasks are completed, want all %d", mode, n, len(rows), tasks)
		}
		pool.Close()
	}
}

// work creates n tasks one by one and then claims until nothing is pending, every other claim in a
// transaction of its own together with its completion.
func work(t *testing.T, s *taskstore.Store, pool *pgxpool.Pool, w, n int, did func([]int64)) error {
	for i := range n {
		if _, err := s.Create(t.Context(), storetest.NewTask(w*n+i)); err != nil {
			return err
		}
	}
	for round := 0; ; round++ {
		var held []taskstore.Task
		finish := func(s *taskstore.Store) (err error) {
			if held, err = s.Claim(t.Context(), 7); err == nil {
				err = errors.Join(s.Heartbeat(t.Context(), held), s.Complete(t.Context(), held...))
			}
			return err
		}
		var err error
		if round%2 == 0 {
			err = finish(s)
		} else {
			err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return finish(s.WithTx(tx)) })
		}
		if err != nil {
			return err
		}
		if len(held) == 0 {
			return nil // what the others hold is theirs to complete
		}
		did(storetest.IDs(held))
	}
}

// pgx's default mode prepares statements by name on whichever server connection a client is given. A
// PgBouncer that keeps no track of them gives it others later, and the error tells the way out.
func TestPgBouncerWithoutPreparedStatementsSaysTheWayOut(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	p := b.Through(t, 2, 0)
	connect := func() *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), p.Mode("cache_statement"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.PgConn().Conn().Close() }) // it may be within a transaction
		return conn
	}
	// The first connection of the server's that is free serves the next transaction.
	first, second, occupant := connect(), connect(), connect()
	task := b.Create(t, 1)
	if _, err := storetest.NewStore(first).Get(t.Context(), task.ID); err != nil {
		t.Fatal(err)
	}
	_, err := storetest.NewStore(second).Get(t.Context(), task.ID)
	wantWayOut(t, err, "42P05") // the statement is there already

	if _, err := occupant.Exec(t.Context(), `BEGIN`); err != nil {
		t.Fatal(err)
	}
	_, err = storetest.NewStore(first).Get(t.Context(), task.ID)
	wantWayOut(t, err, "26000") // the statement is on the other connection
}

func wantWayOut(t *testing.T, err error, code string) {
	t.Helper()
	if storetest.SQLState(err) != code || !strings.Contains(err.Error(), "default_query_exec_mode=cache_describe") {
		t.Errorf("error is %v, SQLSTATE %q; want %s and the way out", err, storetest.SQLState(err), code)
	}
}
