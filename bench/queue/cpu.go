package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// cpuOfSessions returns the processor time that the database's sessions have used, where Linux on this machine tells.
func cpuOfSessions(ctx context.Context, url string) (used time.Duration, err error) {
	var pids []int32
	err = read(ctx, url, `SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`, &pids)
	for _, pid := range pids {
		var n time.Duration // nanoseconds, the first figure of the file
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if _, err := fmt.Sscan(string(stat), (*int64)(&n)); err != nil {
			return 0, err
		}
		used += n
	}
	return used, err
}
