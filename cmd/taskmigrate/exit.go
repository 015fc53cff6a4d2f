package main

import (
	"github.com/tasklane/tasks/internal/migrate"
)

// exitCode is how the process ends. Scripts rely on it.
type exitCode int

const (
	exitDone exitCode = iota
	exitFailed
	exitUsage
	exitPending
	exitDrift
	exitLockWait
	exitHalfDone
	exitConflict
)

var exitMeanings = []string{
	exitDone:     "done",
	exitFailed:   "failed",
	exitUsage:    "usage",
	exitPending:  "status --check found pending migrations",
	exitDrift:    "verify found drift, or adopt refused",
	exitLockWait: "gave up waiting for a lock; nothing is half-done, safe to run again",
	exitHalfDone: "stopped half-way through a migration that cannot be transactional; safe to run again",
	exitConflict: "the database's history conflicts with this binary",
}

// failures say of each kind of failure how the process ends, and what helps.
var failures = map[migrate.Kind]struct {
	code exitCode
	hint string
}{
	migrate.Failed:     {exitFailed, ""},
	migrate.BadRequest: {exitUsage, ""},
	migrate.LosesData:  {exitUsage, "repeat it with --allow-data-loss if that is meant"},
	migrate.Unmanaged:  {exitFailed, ""},
	migrate.Drift:      {exitDrift, ""},
	migrate.RunBusy:    {exitLockWait, "--run-lock-wait waits longer"},
	migrate.LockWait:   {exitLockWait, "nothing is half-done"},
	migrate.HalfDone:   {exitHalfDone, "that migration cannot be transactional, but it can be repeated"},
	migrate.Conflict:   {exitConflict, ""},
}
