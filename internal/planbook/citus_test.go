package main

import (
	"regexp"
	"strings"
	"testing"
)

var (
	locksRows = regexp.MustCompile(`(?i)\bFOR\s+(NO\s+KEY\s+UPDATE|UPDATE|KEY\s+SHARE|SHARE)\b|\bSKIP\s+LOCKED\b`)
	volatile  = regexp.MustCompile(
		`(?i)\b(clock_timestamp|timeofday|random|gen_random_uuid|nextval|setval|currval|lastval)\s*\(`)
)

// On a table that Citus distributes, no statement may lock rows of several shards, and none that changes rows that are
// there may call a volatile function. So each statement that locks rows has a twin that locks none.
func TestStatementsAreOfTheKindThatCitusRuns(t *testing.T) {
	t.Parallel()
	queries, err := readQueries("../../queries")
	if err != nil {
		t.Fatal(err)
	}
	locks := map[string]bool{}
	for _, q := range queries {
		locks[q.Name] = locksRows.MatchString(q.SQL)
	}
	claims := 0
	for _, q := range queries {
		if m := volatile.FindString(q.SQL); m != "" && q.writes() && !strings.HasPrefix(q.Name, "Create") {
			t.Errorf("%s changes rows and calls %s)", q.Name, m)
		}
		if !locks[q.Name] || q.Name == "ClaimPendingIDs" || q.Name == "ClaimTasksOfIntegrations" { // WithCitus uses others
			continue
		}
		claims++
		if twin, ok := locks[q.Name+"Optimistic"]; !ok || twin {
			t.Errorf("%s locks rows and has no optimistic twin without locks", q.Name)
		}
	}
	if claims == 0 {
		t.Error("no query locks rows: the pattern finds nothing any more")
	}
}
