package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	locksRows = regexp.MustCompile(`(?i)\bFOR\s+(NO\s+KEY\s+UPDATE|UPDATE|KEY\s+SHARE|SHARE)\b|\bSKIP\s+LOCKED\b`)
	volatile  = regexp.MustCompile(
		`(?i)\b(clock_timestamp|timeofday|random|gen_random_uuid|nextval|setval|currval|lastval)\s*\(`)
	ofTheIDs = regexp.MustCompile(`(?i)\b(id|task_id) = ANY \(@ids::bigint\[\]\)`)
)

// What the statements that lock rows of several shards do is done on Citus by these.
var twins = map[string]string{
	"ClaimTasks":               "ClaimTasksOnShard",
	"ClaimTasksByBatch":        "ClaimTasksOnShard",
	"ClaimTasksByIntegration":  "ClaimTasksOnShard",
	"ClaimTasksByTemplate":     "ClaimTasksOnShard",
	"ClaimTasksOfIntegrations": "ClaimTasksOnShard",
	"DeleteFinished":           "DeleteFinishedOnShard",
	"HeartbeatTasks":           "HeartbeatTasksOnShard",
	"RequeueTasks":             "RequeueIDs",
	"RetryDueTasks":            "RetryDueIDs",
}

// On a table that Citus distributes, a statement may lock rows only if it is sent to one shard, and none that changes
// rows that are there may call a volatile function. So each statement that locks rows names its ids for the table that
// it changes and for the one that it locks, or has a twin that does, or that locks none itself.
func TestStatementsAreOfTheKindThatCitusRuns(t *testing.T) {
	t.Parallel()
	queries, err := readQueries("../../queries")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../queries/citus.sql")
	if err != nil {
		t.Fatal(err)
	}
	queries = append(queries, parseQueries("citus", string(text))...)
	runs := map[string]bool{}
	for _, q := range queries {
		runs[q.Name] = !locksRows.MatchString(q.SQL) || len(ofTheIDs.FindAllString(q.SQL, -1)) >= 2
		creates := strings.HasPrefix(q.Name, "Create") || strings.HasPrefix(q.Name, "Keep")
		if m := volatile.FindString(q.SQL); m != "" && q.writes() && !creates {
			t.Errorf("%s changes rows and calls %s)", q.Name, m)
		}
	}
	for name, itself := range runs {
		if twin := twins[name]; itself == runs[twin] {
			t.Errorf("%s is for one shard: %v, and so is its twin %q", name, itself, twin)
		}
	}
}
