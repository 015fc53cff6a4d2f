// Package migrate does what the command taskmigrate offers: it takes a database's tasks table from one
// migration to another, by goose's Provider, while other runners and writers are live.
//
// A Migrator has one method for each command, in a file of its name: Up in migrate.go, Down, Status in history.go,
// Plan, Adopt, Verify, and Review, which is the command report. Each of them begins in the same way:
//
//   - connect.go opens a connection, refuse.go refuses one with which no run is safe, and home.go finds the schema of
//     the table and makes the session independent of what the role or the database sets; silence.go says who keeps a
//     query waiting;
//   - sources.go knows the migrations of this binary, history.go reads those that the database has recorded.
//
// Up and Down then make a run, run.go. It lists what is to do, does it file by file under the run lock (runlock.go),
// tries again where a lock was not granted, and tells at its end what was done and what was not (outcome.go). All its
// statements pass through one session (session.go), and watch.go says meanwhile who blocks them, on the nodes of a
// Citus cluster, too (citus.go). Three things are special: the history's own table (versiontable.go), the back-fill,
// which is sent slice by slice (backfill.go), and a plan, which is the same run on a session that writes statements
// down and sends none (plan.go, tablelocks.go).
//
// Adopt and Verify compare catalogs by package catalog. Adopt also looks at the rows (rows.go), and asks with Up
// and Down what the role may do (rights.go). Review adds what a reviewer wants to know: who is in the way
// (obstacles.go, backends.go) and what the back-fill will write (amount.go). Package page writes it down.
package migrate
