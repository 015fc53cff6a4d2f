package main

import "fmt"

// entry is what the book adds to a query: what the files of the folder queries do not say.
type entry struct {
	Purpose  string
	Index    []string // the plan must use one of these; none: it looks for no row
	SeqScan  bool     // it may read the whole table: that is what it is for
	Planned  bool     // the store has it planned for its values each time
	Examples []example
}

// example is a set of arguments, as SQL expressions by parameter, and the most pages that the query may touch
// with it under a custom and under a generic plan. The budgets are the figures of the day they were
// set, rounded up by about a tenth.
type example struct {
	Name            string
	Args            args
	Custom, Generic int
}

type args = map[string]string

// newest is where a list begins, and oldest where a claim does that knows nothing.
const (
	newest = "9223372036854775807"
	oldest = "-9223372036854775808"
)

// The values of the data set: see dataset.sql.
var (
	common  = args{"integration_id": "1", "client_id": "10", "user_id": "1", "account_id": "1", "template_id": "1"}
	dormant = args{"integration_id": "2", "client_id": "20", "user_id": "2", "account_id": "2", "template_id": "2"}
	rare    = args{"integration_id": "900001", "client_id": "900001", "user_id": "900001", "account_id": "900001", "template_id": "900001"}

	batchColumns = []string{"integration_id", "client_id", "template_id"}
	allColumns   = append([]string{"user_id", "account_id"}, batchColumns...)
)

// with returns some of the values, those of columns, together with more.
func with(values args, columns []string, more args) args {
	all := args{}
	for _, c := range columns {
		all[c] = values[c]
	}
	for name, value := range more {
		all[name] = value
	}
	return all
}

// book has an entry for each query.
func book() map[string]entry {
	b := map[string]entry{}
	for _, part := range []func(map[string]entry){creates, reads, changes, works, upkeeps} {
		part(b)
	}
	return b
}

func creates(b map[string]entry) {
	b["CopyTasks"] = entry{Purpose: "`CreateMany` of 200 tasks and more. COPY has no plan: it appends to the table and to each index."}
	b["CreateTask"] = entry{
		Purpose:  "`Create`.",
		Examples: []example{{"one task", with(common, allColumns, args{"argument": "'{}'"}), 40, 40}},
	}
	arrays := args{"arguments": "array_fill('{}'::text, ARRAY[100])"}
	for _, name := range []string{"integration_ids", "user_ids", "client_ids", "account_ids", "template_ids"} {
		arrays[name] = "ARRAY(SELECT generate_series(1001, 1100))"
	}
	b["CreateTasks"] = entry{
		Purpose:  "`CreateMany` of fewer than 200 tasks.",
		Examples: []example{{"100 tasks", arrays, 3500, 3500}},
	}
	b["ReserveIDs"] = entry{
		Purpose:  "`CreateMany` of 200 tasks and more, before CopyTasks. Its pages are the sequence's one page, once for each id.",
		Examples: []example{{"1,000 ids", args{"n": "1000"}, 1100, 1100}},
	}
}

func changes(b map[string]entry) {
	pkey := []string{"tasks_pkey"}
	version := "(SELECT updated_at FROM tasks WHERE id = 500000)"
	b["DeleteTask"] = entry{Purpose: "`Delete`.", Index: pkey, Examples: []example{{"one task", args{"id": "500000"}, 7, 7}}}
	b["SetTaskStatus"] = entry{
		Purpose: "`SetStatus`.", Index: pkey,
		Examples: []example{{"one task", args{"id": "500000", "status": "3", "version": version}, 38, 38}},
	}
	b["UpdateTask"] = entry{
		Purpose: "`Update`.", Index: pkey,
		Examples: []example{{"one task", with(rare, allColumns, args{"argument": "'{}'", "id": "500000", "version": version}), 38, 38}},
	}
}

// held are the ids and versions of n tasks in processing.
func held(n int) args {
	from := fmt.Sprintf("FROM tasks WHERE status = 1 ORDER BY id LIMIT %d)", n)
	return args{"ids": "ARRAY(SELECT id " + from, "versions": "ARRAY(SELECT updated_at " + from}
}

func works(b map[string]entry) {
	claims := map[string]string{"": ".", "Optimistic": " on a Store `WithCitus()`."}
	for suffix, note := range claims {
		b["ClaimTasks"+suffix] = entry{
			Purpose: "`Claim`" + note, Index: []string{"idx_tasks_pending"},
			Examples: []example{
				{"50 from the bottom", args{"first": oldest, "max_rows": "50"}, 1850, 1850},
				{"50 from a mark", args{"first": "995000", "max_rows": "50"}, 1850, 1850},
			},
		}
		some := args{"first": oldest, "max_rows": "50"}
		b["ClaimBatch"+suffix] = entry{
			Purpose: "`ClaimBatch`" + note, Index: []string{"idx_tasks_pending_batch"},
			Examples: []example{
				{"common, 50 tasks", with(common, batchColumns, some), 1950, 1950},
				{"dormant, none pending", with(dormant, batchColumns, some), 4, 4},
				{"rare, 5 tasks", with(rare, batchColumns, some), 160, 160},
			},
		}
	}
	pkey := []string{"tasks_pkey"}
	done := func(n int) args {
		all := held(n)
		all["status"] = "2"
		return all
	}
	b["FinishTasks"] = entry{
		Purpose: "`Complete`, `Fail` and `Release`.", Index: pkey,
		Examples: []example{{"one task", done(1), 39, 39}, {"100 tasks", done(100), 3650, 3650}},
	}
	b["HeartbeatTasks"] = entry{
		Purpose: "`Heartbeat`.", Index: pkey,
		Examples: []example{{"one task", held(1), 10, 10}, {"100 tasks", held(100), 860, 860}},
	}
	b["RequeueTasks"] = entry{
		Purpose: "`RequeueStale`.", Index: []string{"idx_status"},
		Examples: []example{
			{"100 stale tasks", args{"silent_for_ms": "60000", "max_rows": "100"}, 4300, 4300},
			{"none stale", args{"silent_for_ms": "315360000000000", "max_rows": "100"}, 220, 220},
		},
	}
	failed := func(n int) args {
		return args{"ids": fmt.Sprintf("ARRAY(SELECT id FROM tasks WHERE status = 3 ORDER BY id LIMIT %d)", n)}
	}
	b["RetryTasks"] = entry{
		Purpose: "`Retry`.", Index: pkey,
		Examples: []example{{"one task", failed(1), 42, 42}, {"100 tasks", failed(100), 4200, 4200}},
	}
}

func upkeeps(b map[string]entry) {
	pkey := []string{"tasks_pkey"}
	middle := "1722318960936" // the creation of the 500,000th task
	b["DeleteFinished"] = entry{
		Purpose: "`DeleteFinished`, once for each slice.", Index: pkey,
		Examples: []example{
			{"a slice of old tasks", args{"first": "100001", "last": "101000", "before": middle, "max_rows": "1000"}, 5600, 5600},
			{"a slice of new tasks", args{"first": "900001", "last": "901000", "before": middle, "max_rows": "1000"}, 30, 30},
		},
	}
	b["GetBacklog"] = entry{
		Purpose: "`Backlog`.", Index: []string{"idx_tasks_pending"},
		Examples: []example{{"all", args{}, 33, 33}},
	}
	b["NextSlice"] = entry{
		Purpose: "`DeleteFinished`, before each slice.", Index: pkey,
		Examples: []example{{"a thousand rows", args{"first": "100001", "before": middle, "max_rows": "1000"}, 31, 31}},
	}
}
