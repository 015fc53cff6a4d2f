package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// cpuOfSessions returns the processor time that each of the database's sessions has used, by its process, where Linux
// on this machine tells.
func cpuOfSessions(ctx context.Context, url string) (map[int32]time.Duration, error) {
	var pids []int32
	err := read(ctx, url, `SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`, &pids)
	used := make(map[int32]time.Duration)
	for _, pid := range pids {
		var n time.Duration // nanoseconds, the first figure of the file
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, err := fmt.Sscan(string(stat), (*int64)(&n)); err != nil {
			return nil, err
		}
		used[pid] = n
	}
	return used, err
}
