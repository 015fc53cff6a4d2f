package main

import (
	"fmt"
	"maps"
)

// entry is what the book adds to a query: what the files of the folder queries do not say.
type entry struct {
	Purpose  string
	Index    []string // the plan must use one of these; none: it looks for no row
	SeqScan  bool     // it may read the whole table: that is what it is for
	Planned  bool     // the store has it planned for its values each time
	Examples []example
}

// example is a set of arguments, as SQL expressions by parameter, and the most pages that the query may touch
// with it, under a custom and under a generic plan: what was measured when the budget was set, and about a tenth.
type example struct {
	Name            string
	Args            args
	Custom, Generic int
}

type args = map[string]string

// A list begins at newest. A claim begins at oldest if it does not know where the pending tasks begin.
const (
	newest = "9223372036854775807"
	oldest = "-9223372036854775808"
)

// The values of the data set: see dataset.sql.
var (
	common  = args{"integration_id": "1", "client_id": "10", "user_id": "1", "account_id": "1", "template_id": "1"}
	dormant = args{"integration_id": "2", "client_id": "20", "user_id": "2", "account_id": "2", "template_id": "2"}
	rare    = args{
		"integration_id": "900001", "client_id": "900001", "user_id": "900001", "account_id": "900001",
		"template_id": "900001",
	}

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
	b["CreateTask"] = entry{
		Purpose:  "`Create`.",
		Examples: []example{{"one task", with(common, allColumns, args{"argument": "'{}'"}), 40, 40}},
	}
	arrays := args{"arguments": "array_fill('{}'::text, ARRAY[100])"}
	for _, name := range []string{"integration_ids", "user_ids", "client_ids", "account_ids", "template_ids"} {
		arrays[name] = "ARRAY(SELECT generate_series(1001, 1100))"
	}
	b["CreateTasks"] = entry{
		Purpose:  "`CreateMany`. Each id that it draws touches the sequence's page.",
		Examples: []example{{"100 tasks", arrays, 3600, 3600}},
	}
	b["CreateTasksShared"] = entry{
		Purpose:  "`Create` by several callers at once.",
		Examples: []example{{"100 tasks", arrays, 3600, 3600}},
	}
	keyed := maps.Clone(arrays)
	keyed["keys"] = "ARRAY(SELECT 'key' || n FROM generate_series(1001, 1100) AS n)"
	b["CreateKeyedTasks"] = entry{
		Purpose: "`CreateMany` with keys.", Index: []string{"task_keys_pkey"},
		Examples: []example{{"100 tasks", keyed, 5100, 5100}},
	}
	one := with(common, allColumns, args{"argument": "'{}'", "key": "'key1001'"})
	b["CreateKeyedTask"] = entry{
		Purpose: "`Create` with a key.", Index: []string{"task_keys_pkey"},
		Examples: []example{{"one task", one, 80, 80}},
	}
}

func changes(b map[string]entry) {
	pkey := []string{"tasks_pkey"}
	version := "(SELECT updated_at FROM tasks WHERE id = 500000)"
	b["DeleteTask"] = entry{
		Purpose: "`Delete`.", Index: pkey,
		Examples: []example{{"one task", args{"id": "500000"}, 7, 7}},
	}
	b["SetTaskStatus"] = entry{
		Purpose: "`SetStatus`.", Index: pkey,
		Examples: []example{{"one task", args{"id": "500000", "status": "3", "version": version}, 38, 38}},
	}
	b["UpdateTask"] = entry{
		Purpose: "`Update`.", Index: pkey,
		Examples: []example{
			{"one task", with(rare, allColumns, args{"argument": "'{}'", "id": "500000", "version": version}), 38, 38},
		},
	}
}

// The owners that RequeueTasks selects by: NULL is everybody.
var (
	nobody        = args{"integration_id": "NULL", "client_id": "NULL", "template_id": "NULL"}
	ofIntegration = args{"integration_id": "1", "client_id": "NULL", "template_id": "NULL"}
)

// requeue are the arguments of RequeueTasks.
func requeue(silentForMs string) args {
	return args{"silent_for_ms": silentForMs, "max_rows": "100", "ids": "'{}'", "versions": "'{}'"}
}

// held are the ids and versions of n tasks in processing.
func held(n int) args {
	from := fmt.Sprintf("FROM tasks WHERE status = 1 ORDER BY id LIMIT %d)", n)
	return args{"ids": "ARRAY(SELECT id " + from, "versions": "ARRAY(SELECT updated_at " + from}
}

// claims are the arguments of a claim of 50 tasks from first on.
func claims(first string) args {
	return args{"first": first, "max_rows": "50", "step": "1", "avoid": "'{}'"}
}

func works(b map[string]entry) {
	b["ClaimTasks"] = entry{
		Purpose: "`Claim`.", Index: []string{"idx_tasks_pending"},
		Examples: []example{
			{"50 from the bottom", claims(oldest), 1850, 1850},
			{"50 from a mark", claims("995000"), 1850, 1850},
		},
	}
	some := claims(oldest)
	b["ClaimTasksByIntegration"] = entry{
		Purpose: "`ClaimBy` with `ByIntegration`.", Index: []string{"idx_tasks_pending_integration"},
		Examples: []example{
			{"common, 50 tasks", with(common, []string{"integration_id"}, some), 2200, 2200},
			{"dormant, none pending", with(dormant, []string{"integration_id"}, some), 5, 5},
			{"rare, 5 tasks", with(rare, []string{"integration_id"}, some), 250, 250},
		},
	}
	b["ClaimTasksByTemplate"] = entry{
		Purpose: "`ClaimBy` with `ByTemplate`.", Index: []string{"idx_tasks_pending_template"},
		Examples: []example{
			{"common, 50 tasks", with(common, []string{"template_id"}, some), 2200, 2200},
			{"dormant, none pending", with(dormant, []string{"template_id"}, some), 5, 5},
			{"rare, 5 tasks", with(rare, []string{"template_id"}, some), 250, 250},
		},
	}
	b["ClaimTasksByBatch"] = entry{
		Purpose: "`ClaimBy` with `ByBatch`.", Index: []string{"idx_tasks_pending_batch"},
		Examples: []example{
			{"common, 50 tasks", with(common, batchColumns, some), 1950, 1950},
			{"dormant, none pending", with(dormant, batchColumns, some), 4, 4},
			{"rare, 5 tasks", with(rare, batchColumns, some), 160, 160},
		},
	}
	pkey := []string{"tasks_pkey"}
	b["ClaimPendingIDs"] = entry{
		Purpose: "`Claim`, where one of the tasks cannot be claimed.", Index: []string{"tasks_pkey", "idx_tasks_pending"},
		Examples: []example{
			{"50 tasks", args{"step": "1", "ids": "ARRAY(SELECT id FROM tasks WHERE status = 0 ORDER BY id LIMIT 50)"},
				2100, 2100},
		},
	}
	b["ListPendingIDs"] = entry{
		Purpose: "`Claim`, where one of the tasks cannot be claimed.", Index: []string{"idx_tasks_pending"},
		Examples: []example{{"50 tasks", with(nobody, batchColumns, claims(oldest)), 60, 60}},
	}
	b["ClaimTasksOfIntegrations"] = entry{
		Purpose: "`ClaimFair`.", Index: []string{"idx_tasks_pending_integration"},
		Examples: []example{{"50 integrations", args{
			"integration_ids": "ARRAY(SELECT generate_series(1, 50))",
			"firsts":          "array_fill((" + oldest + ")::bigint, ARRAY[50])",
			"quotas":          "array_fill(1, ARRAY[50])", "step": "1", "avoid": "'{}'"}, 2500, 2500}},
	}
	b["ListPendingIntegrations"] = entry{
		Purpose: "`ClaimFair`, when it looks for integrations.", Index: []string{"idx_tasks_pending_integration"},
		Examples: []example{{"all", args{"max_rows": "10000"}, 5000, 5000}},
	}
	failed := held(100)
	failed["reasons"] = "array_fill('timeout'::text, ARRAY[100])"
	failed["retry_in_ms"] = "array_fill(1000::bigint, ARRAY[100])"
	b["FailTasks"] = entry{
		Purpose: "`FailWith`.", Index: pkey,
		Examples: []example{{"100 tasks", failed, 4500, 4500}},
	}
	b["RetryDueTasks"] = entry{
		Purpose: "`RetryDue`.", Index: []string{"idx_task_failures_retry_at"},
		Examples: []example{
			{"100 tasks", with(nobody, batchColumns, args{"max_rows": "100"}), 6000, 6000},
			{"100 tasks of an integration", with(ofIntegration, batchColumns, args{"max_rows": "100"}), 6000, 6000},
		},
	}
	b["ListDue"] = entry{
		Purpose: "`RetryDue`, where one of the tasks refuses.", Index: []string{"idx_task_failures_retry_at"},
		Examples: []example{
			{"100 tasks", with(nobody, batchColumns, args{"max_rows": "100", "avoid": "'{}'"}), 450, 450},
		},
	}
	b["RetryDueIDs"] = entry{
		Purpose: "`RetryDue`, where one of the tasks refuses.", Index: []string{"tasks_pkey", "task_failures_pkey"},
		Examples: []example{{"100 tasks", args{
			"ids": "ARRAY(SELECT task_id FROM task_failures WHERE retry_at IS NOT NULL ORDER BY retry_at LIMIT 100)",
		}, 6000, 6000}},
	}
	b["NewestID"] = entry{
		Purpose: "`Claim`, once a second, before it starts at the bottom.", Index: pkey,
		Examples: []example{{"the end", args{}, 5, 5}},
	}
	b["ListHeld"] = entry{
		Purpose: "`Heartbeat`, for leases that it did not renew.", Index: pkey,
		Examples: []example{{"100 tasks", held(100), 410, 410}},
	}
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
		Examples: []example{{"one task", held(1), 20, 20}, {"100 tasks", held(100), 1700, 1700}},
	}
	b["RequeueTasks"] = entry{
		Purpose: "`RequeueStale`.", Index: []string{"idx_status"},
		Examples: []example{
			{"100 stale tasks", with(nobody, batchColumns, requeue("60000")), 5000, 5000},
			{"none stale", with(nobody, batchColumns, requeue("315360000000000")), 220, 220},
			{"100 stale tasks of an integration", with(ofIntegration, batchColumns, requeue("60000")), 5000, 5000},
		},
	}
	silent := requeue("60000")
	silent["avoid"] = "'{}'"
	b["ListSilent"] = entry{
		Purpose: "`RequeueStale`, where one of the tasks refuses.", Index: []string{"idx_status"},
		Examples: []example{{"100 stale tasks", with(nobody, batchColumns, silent), 220, 220}},
	}
	b["RequeueIDs"] = entry{
		Purpose: "`RequeueStale`, where one of the tasks refuses.", Index: pkey,
		Examples: []example{{"100 stale tasks", args{
			"ids":           "ARRAY(SELECT id FROM tasks WHERE status = 1 ORDER BY id LIMIT 100)",
			"silent_for_ms": "60000", "ahead_ids": "'{}'", "versions": "'{}'"}, 5000, 5000}},
	}
	stale := func(owners args, silentForMs string) args {
		return with(owners, batchColumns, args{"silent_for_ms": silentForMs, "max_rows": "100"})
	}
	b["ListStaleTasks"] = entry{
		Purpose: "`Stale`.", Index: []string{"idx_status"},
		Examples: []example{
			{"100 stale tasks", stale(nobody, "60000"), 220, 220},
			{"none stale", stale(nobody, "315360000000000"), 220, 220},
			{"100 stale tasks of an integration", stale(ofIntegration, "60000"), 220, 220},
		},
	}
	b["ListAhead"] = entry{
		Purpose: "`RequeueStale`: versions that lie ahead of the clock.", Index: []string{"idx_status"},
		Examples: []example{{"none", with(nobody, batchColumns, args{"max_rows": "1000"}), 220, 220}},
	}
	retried := func(n int) args {
		return args{"ids": fmt.Sprintf("ARRAY(SELECT id FROM tasks WHERE status = 3 ORDER BY id LIMIT %d)", n)}
	}
	b["RetryTasks"] = entry{
		Purpose: "`Retry`.", Index: pkey,
		Examples: []example{{"one task", retried(1), 45, 45}, {"100 tasks", retried(100), 4600, 4600}},
	}
}

func upkeeps(b map[string]entry) {
	pkey := []string{"tasks_pkey"}
	middle := "1722318960936" // the creation of the 500,000th task
	b["DeleteFinished"] = entry{
		Purpose: "`DeleteFinished`, once for each slice that has something to delete.", Index: pkey,
		Examples: []example{
			{
				"a slice of old tasks",
				args{"first": "100001", "last": "101000", "before": middle, "max_rows": "1000"}, 7800, 7800,
			},
			{"a slice of new tasks", args{"first": "900001", "last": "901000", "before": middle, "max_rows": "1000"}, 40, 40},
		},
	}
	b["ListFinished"] = entry{
		Purpose: "`Finished`, and `DeleteFinished` where one of the tasks refuses.", Index: pkey,
		Examples: []example{{
			"a slice of old tasks",
			args{"first": "100001", "last": "101000", "before": middle, "max_rows": "1000"}, 31, 31,
		}},
	}
	b["CountFailureReasons"] = entry{
		Purpose: "`FailureReasons`.", Index: []string{"task_failures_pkey"},
		Examples: []example{{"10,000 failures", args{"max_rows": "10000"}, 42000, 42000}},
	}
	b["ShareBacklog"] = entry{
		Purpose: "`BacklogShares`.", Index: []string{"idx_tasks_pending", "idx_status"},
		Examples: []example{
			{"all", args{"silent_for_ms": "60000", "max_rows": "100000"}, 9400, 9400},
			{"1,000 of each status", args{"silent_for_ms": "60000", "max_rows": "1000"}, 1150, 1150},
		},
	}
	b["GetBacklog"] = entry{
		Purpose: "`Backlog`.", Index: []string{"idx_tasks_pending"},
		Examples: []example{{"all", args{}, 33, 33}},
	}
	b["NextSlice"] = entry{
		Purpose: "`DeleteFinished`, before each slice.", Index: pkey,
		Examples: []example{{"a thousand rows", args{"first": "100001", "before": middle, "max_rows": "1000"}, 370, 370}},
	}
}
