package faults

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// event is something that happens to a call. Its name is the first column of the table in docs/store.md.
type event struct {
	name  string
	kinds []string         // all, if there are none
	cause func(error) bool // holds for the error, if there is one; nil: anything
	run   func(t *testing.T, sc *scene) error

	network bool // the proxy makes it happen
}

// network is an event that the proxy makes. Where the proxy goes mute, the call ends by its deadline.
func network(name string, f fault) event {
	var cause func(error) bool
	if f.mute {
		cause = is(context.DeadlineExceeded)
	}
	run := func(t *testing.T, sc *scene) error { return sc.suffer(t, f) }
	return event{name: name, network: true, cause: cause, run: run}
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func state(code string) func(error) bool {
	return func(err error) bool { return storetest.SQLState(err) == code }
}

var (
	autonomous  = []string{"pool", "connection"}
	transaction = []string{"transaction"}
)

// The names of events that have several forms.
const (
	neverSent   = "the call's context has ended, no connection is free before its deadline, or none can be made"
	unprepared  = "the connection breaks while the statement is prepared"
	undelivered = "the connection breaks before the server has the request"
	unanswered  = "the connection breaks after the server is done, before or within its answer"
	muteBefore  = "the network goes mute before the server has the request"
	muteAfter   = "the network goes mute after the server is done"
)

// events are all that the tests make happen to a call.
var events = []event{
	{name: neverSent, cause: is(context.Canceled), run: contextHasEnded},
	{name: neverSent, kinds: []string{"pool"}, cause: is(context.Canceled), run: contextHasEndedBeforeAWrapper},
	{name: neverSent, kinds: []string{"pool"}, cause: is(context.DeadlineExceeded), run: poolIsEmpty},
	{name: neverSent, kinds: []string{"pool"}, cause: isDialError, run: serverIsAway},
	{
		name: neverSent, kinds: []string{"connection", "transaction"}, cause: is(pgconn.ErrConnClosed),
		run: connectionIsClosed,
	},
	{name: neverSent, kinds: transaction, cause: is(pgx.ErrTxClosed), run: transactionIsOver},
	network(unprepared, fault{prepare: true}),
	network(unprepared, fault{prepare: true, request: 1, answer: 0.5}),
	network(unprepared, fault{prepare: true, request: 1, mute: true}),
	network(undelivered, fault{}),
	network(undelivered, fault{request: 0.5}),
	network(unanswered, fault{request: 1}),
	network(unanswered, fault{request: 1, answer: 0.01}),
	network(unanswered, fault{request: 1, answer: 0.5}),
	network(unanswered, fault{request: 1, answer: 0.999}), // all but the last byte
	network(muteBefore, fault{mute: true}),
	network(muteBefore, fault{mute: true, request: 0.5}),
	network(muteAfter, fault{mute: true, request: 1}),
	network(muteAfter, fault{mute: true, request: 1, answer: 0.5}),
	{name: "the call's context ends while the statement waits for a lock", cause: is(context.Canceled), run: contextEnds},
	{name: "`statement_timeout` or `lock_timeout` passes", cause: state("57014"), run: statementTimeout},
	{name: "`statement_timeout` or `lock_timeout` passes", cause: state("55P03"), run: lockTimeout},
	{name: "`pg_terminate_backend`", cause: state("57P01"), run: terminated},
	{
		name: "another session has locked one of the rows", kinds: autonomous, cause: state("55P03"),
		run: rowIsLocked,
	},
	{
		name: "another session has locked one of the rows, in a caller's transaction", kinds: transaction,
		run: rowIsLocked,
	},
	{name: "another program has changed one of the rows", run: rowHasChanged},
	{name: "a deadlock or serialization failure", kinds: autonomous, run: rolledBack("40001")},
	{name: "a deadlock or serialization failure", kinds: autonomous, run: rolledBack("40P01")},
	{name: "a deadlock, in a caller's transaction", kinds: transaction, cause: state("40P01"), run: rolledBack("40P01")},
	{
		name: "a serialization failure, in a caller's transaction", kinds: transaction, cause: state("40001"),
		run: rolledBack("40001"),
	},
	{
		name: "a trigger of somebody else refuses one of the rows", kinds: autonomous,
		cause: state("P0001"), run: triggerRefuses,
	},
	{
		name: "a trigger of somebody else refuses one of the rows, in a caller's transaction", kinds: transaction,
		cause: state("P0001"), run: triggerRefuses,
	},
	{
		name: "a CHECK of somebody else refuses one of the rows", kinds: autonomous,
		cause: state("23514"), run: checkRefuses,
	},
	{
		name: "a CHECK of somebody else refuses one of the rows, in a caller's transaction", kinds: transaction,
		cause: state("23514"), run: checkRefuses,
	},
	{name: "a deferred constraint fails at the commit", kinds: autonomous, cause: state("P0001"), run: commitRefuses},
	{
		name: "a deferred constraint fails at the commit of a caller's transaction", kinds: transaction,
		cause: state("P0001"), run: commitRefuses,
	},
}

func contextHasEnded(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return sc.call(ctx)
}

// A DB of somebody's own tells nothing of its connections.
func contextHasEndedBeforeAWrapper(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	sc.store = taskstore.New(struct{ taskstore.DB }{sc.pool})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return sc.call(ctx)
}

func poolIsEmpty(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	only, err := sc.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer only.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	return sc.call(ctx)
}

func isDialError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func serverIsAway(t *testing.T, sc *scene) error {
	t.Helper()
	gone := newProxy(t, sc.URL)
	if err := gone.listener.Close(); err != nil {
		t.Fatal(err)
	}
	sc.open(t, gone.through)
	return sc.call(t.Context())
}

func connectionIsClosed(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	if err := sc.conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return sc.call(t.Context())
}

// The transaction is over because its connection is.
func transactionIsOver(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	if err := sc.conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = sc.tx.Rollback(t.Context()) // an error: there is no connection
	return sc.call(t.Context())
}

func contextEnds(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	defer sc.hang(t)()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := sc.blocked(ctx, t, cancel)
	// The driver asks the server to cancel the statement.
	sc.WaitFor(t, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND state = 'active'
			AND pid <> pg_backend_pid())`)
	return err
}

func statementTimeout(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["statement_timeout"] = "100ms" })
	defer sc.hang(t)()
	return sc.call(t.Context())
}

func lockTimeout(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["lock_timeout"] = "100ms" })
	defer sc.lock(t, `LOCK TABLE tasks IN EXCLUSIVE MODE`)()
	return sc.call(t.Context())
}

func terminated(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	defer sc.hang(t)()
	return sc.blocked(t.Context(), t, func() {
		// It is awake for a moment now and then, and then waits for nothing.
		sc.WaitFor(t, `SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	})
}

func rowIsLocked(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	release := sc.lock(t, `SELECT FROM tasks WHERE argument = 'poison' FOR UPDATE`)
	if sc.method.name == "Exchange" && sc.tx == nil { // it gives up
		defer release()
		return sc.call(t.Context())
	}
	waited := false
	err := sc.blocked(t.Context(), t, func() { waited = true; release() })
	if !waited {
		release()
	}
	return err
}

func rowHasChanged(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	sc.Exec(t, `
		UPDATE tasks SET account_id = 2, updated_at = (extract(epoch FROM now()) * 1000)::bigint
		WHERE argument = 'poison'`)
	sc.tasks = storetest.Stored(t, sc.Admin) // with what the caller has not seen
	seen := sc.tasks[1]
	seen.UpdatedAt--
	return sc.method.call(t.Context(), sc.store, append(append(sc.tasks[:1:1], seen), sc.tasks[2]))
}

func rolledBack(code string) func(t *testing.T, sc *scene) error {
	return func(t *testing.T, sc *scene) error {
		sc.open(t)
		storetest.FailWrites(t, sc.Bundle, code, 1)
		return sc.call(t.Context())
	}
}

func triggerRefuses(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	sc.rule(t, refuse+`
		CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION refuse()`,
		`DROP TRIGGER refuse ON tasks`)
	return sc.call(t.Context())
}

// refuse is a trigger function that refuses the second task of a scene.
const refuse = `
	CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF coalesce(NEW.argument, OLD.argument) = 'poison' THEN
			RAISE EXCEPTION 'refused';
		END IF;
		RETURN coalesce(NEW, OLD);
	END $$;`

// houseRule is a CHECK that refuses the second task of a scene.
const (
	houseRule     = `ALTER TABLE tasks ADD CONSTRAINT house_rule CHECK (argument <> 'poison') NOT VALID`
	dropHouseRule = `ALTER TABLE tasks DROP CONSTRAINT house_rule`
)

func checkRefuses(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	sc.rule(t, houseRule, dropHouseRule)
	return sc.call(t.Context())
}

func commitRefuses(t *testing.T, sc *scene) error {
	t.Helper()
	sc.open(t)
	sc.rule(t, refuse+`
		CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE OR DELETE ON tasks DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION refuse()`,
		`DROP TRIGGER refuse ON tasks`)
	err := sc.call(t.Context())
	if sc.tx != nil && err == nil {
		if err := sc.tx.Commit(t.Context()); storetest.SQLState(err) != "P0001" {
			t.Errorf("the caller's COMMIT: %v", err)
		}
	}
	return err
}
