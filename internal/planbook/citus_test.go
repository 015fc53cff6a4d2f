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
	"ClaimPendingIDs":          "ClaimPendingIDsOnShard",
	"ClaimTasks":               "ClaimTasksOnShard",
	"ClaimTasksByBatch":        "ClaimTasksOnShard",
	"ClaimTasksByIntegration":  "ClaimTasksOnShard",
	"ClaimTasksByTemplate":     "ClaimTasksOnShard",
	"ClaimTasksOfIntegrations": "ClaimTasksOnShard",
	"DeleteFinished":           "DeleteFinishedOnShard",
	"HeartbeatTasks":           "HeartbeatTasksOnShard",
	"RequeueTasks":             "RequeueTasksOnShard",
	"RetryDueTasks":            "RetryDueTasksOnShard",
}

// On a table that Citus distributes, a statement may lock rows only if it is sent to one shard, and none that changes
// rows that are there may call a volatile function. So each statement that locks rows has a twin, and those of the
// twins that lock rows themselves name their ids for the table that they change and for the one that they lock.
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
	citus := parseQueries("citus", string(text))
	there := map[string]bool{}
	for _, q := range citus {
		there[q.Name] = true
		if n := len(ofTheIDs.FindAllString(q.SQL, -1)); locksRows.MatchString(q.SQL) && n < 2 {
			t.Errorf("%s locks rows, and names its @ids %d times: Citus does not send it to one shard", q.Name, n)
		}
	}
	for _, q := range append(queries, citus...) {
		creates := strings.HasPrefix(q.Name, "Create") || strings.HasPrefix(q.Name, "Keep")
		if m := volatile.FindString(q.SQL); m != "" && q.writes() && !creates {
			t.Errorf("%s changes rows and calls %s)", q.Name, m)
		}
	}
	for _, q := range queries {
		if locks := locksRows.MatchString(q.SQL); locks != there[twins[q.Name]] {
			t.Errorf("%s locks rows: %v, and its twin is %q", q.Name, locks, twins[q.Name])
		}
	}
}
