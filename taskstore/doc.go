// Package taskstore is the typed data layer of the tasks table: programs create tasks, read them, and
// work on them through a [Store].
//
//	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
//	...
//	store := taskstore.New(pool)
//	t, err := store.Create(ctx, taskstore.NewTask{
//		IntegrationID: 1, UserID: 2, ClientID: 3, AccountID: 4, TemplateID: 5, Argument: `{}`,
//	})
//
// The command taskmigrate brings a database to the schema that this package expects; the package
// itself changes no schema and depends on pgx alone.
//
// # Versions
//
// UpdatedAt of a [Task] is the row's version: every write raises it strictly. A Task that was read is
// therefore also a token. [Store.Update] and [Store.SetStatus] succeed only on the version they are
// given, so that of two callers who read the same row one gets [ErrConflict]. (Optimistic concurrency
// control: H. T. Kung and J. T. Robinson, 1981.)
//
// # Leases
//
// Workers [Store.Claim] tasks, keep them with [Store.Heartbeat] and end with [Store.Complete],
// [Store.Fail] or [Store.Release]. A claimed Task is its own lease, and its version is the fencing
// token: once [Store.RequeueStale] has taken a silent worker's task away, nothing that this worker
// still does reaches the row. Package taskwork does all of this around a handler.
//
// # Transactions
//
// Each method commits by itself, or belongs to the caller's transaction on a Store from
// [Store.WithTx]. A write that is told its tasks is one transaction; a claim, a requeue or a deletion of
// what is finished may be several, and if one fails, the others stand. Deadlocks and serialization
// failures are retried outside a caller's transaction, for as long as the context lasts.
//
// # Errors
//
// Callers act on [ErrNotFound], [ErrConflict], [ErrInvalid] and [ErrUncertain] by errors.Is. Every error also
// unwraps to its cause, a *pgconn.PgError or the context's error.
package taskstore
