package main

import (
	"slices"
	"strings"
)

// pageOf asks for a page of the usual size, from the newest task on.
func pageOf(more args) args {
	all := args{"last": newest, "max_rows": "100"}
	for name, value := range more {
		all[name] = value
	}
	return all
}

func reads(b map[string]entry) {
	b["GetTask"] = entry{
		Purpose: "`Get`.", Index: []string{"tasks_pkey"},
		Examples: []example{{"one task", args{"id": "500000"}, 4, 4}},
	}
	b["GetTaskByKey"] = entry{
		Purpose: "`GetByKey`.", Index: []string{"task_keys_pkey"},
		Examples: []example{{"one task", args{"key": "'key500000'"}, 8, 8}},
	}
	b["ListFailures"] = entry{
		Purpose: "`Failures`.", Index: []string{"task_failures_pkey"}, SeqScan: true,
		Examples: []example{{"100 tasks", args{"ids": "ARRAY(SELECT task_id FROM task_failures LIMIT 100)"}, 420, 420}},
	}
	b["CountByStatus"] = entry{
		Purpose: "`CountByStatus`.", Index: []string{"idx_status"}, SeqScan: true,
		Examples: []example{{"all", args{}, 1050, 1050}},
	}
	b["CountTasks"] = entry{
		Purpose: "`Count` of every task.", Index: []string{"idx_status"}, SeqScan: true,
		Examples: []example{{"all", args{}, 1050, 1050}},
	}
	b["CountTasksWithStatus"] = entry{
		Purpose: "`Count` with `ByStatus`.", Index: []string{"idx_status"}, Planned: true,
		Examples: []example{{"completed", args{"status": "2"}, 960, 960}, {"failed", args{"status": "3"}, 55, 55}},
	}
	b["ListTasks"] = entry{
		Purpose: "`List` of every task.", Index: []string{"tasks_pkey"},
		Examples: []example{{"newest", pageOf(nil), 10, 10}, {"in the middle", pageOf(args{"last": "500000"}), 10, 10}},
	}
	b["ListTasksWithStatus"] = entry{
		Purpose: "`List` with `ByStatus`, of a status other than pending.",
		Index:   []string{"idx_status", "tasks_pkey"}, Planned: true,
		Examples: []example{
			{"completed", pageOf(args{"status": "2"}), 310, 310},
			{"processing", pageOf(args{"status": "1"}), 220, 220},
			{"failed", pageOf(args{"status": "3"}), 590, 590},
		},
	}
	b["ListPending"] = entry{
		Purpose: "`List` with `ByStatus(Pending)`.", Index: []string{"idx_tasks_pending"},
		Examples: []example{{"newest", pageOf(nil), 8, 8}},
	}

	byValue(b, "Batch", batchColumns, "idx_task")
	byValue(b, "Integration", []string{"integration_id"}, "idx_integration_id", "idx_task")
	for _, column := range []string{"User", "Client", "Account", "Template"} {
		name := strings.ToLower(column) + "_id"
		byValue(b, column, []string{name}, "idx_"+name)
	}
	b["CountPendingByBatch"] = entry{
		Purpose: "`Count` with `ByBatch` and pending.", Index: []string{"idx_tasks_pending_batch"}, Planned: true,
		Examples: []example{
			{"common", with(common, batchColumns, nil), 9, 9},
			{"rare", with(rare, batchColumns, nil), 9, 9},
		},
	}
	b["ListPendingByBatch"] = entry{
		Purpose: "`List` with `ByBatch` and pending.", Index: []string{"idx_tasks_pending_batch"}, Planned: true,
		Examples: []example{
			{"common", with(common, batchColumns, pageOf(nil)), 46, 46},
			{"dormant, none pending", with(dormant, batchColumns, pageOf(nil)), 4, 4},
			{"rare", with(rare, batchColumns, pageOf(nil)), 9, 9},
		},
	}
}

// byValue adds the four queries of one filter, which are budgeted alike for all six filters.
func byValue(b map[string]entry, by string, columns []string, index ...string) {
	filter := "`By" + by + "`"
	orStatus := slices.Concat(index, []string{"idx_status"})
	completed, failed := args{"status": "2"}, args{"status": "3"}
	b["CountTasksBy"+by] = entry{
		Planned: true,
		Purpose: "`Count` with " + filter + ".", Index: index,
		Examples: []example{
			{"common", with(common, columns, nil), 460, 1800},
			{"rare", with(rare, columns, nil), 16, 16},
		},
	}
	b["CountTasksBy"+by+"WithStatus"] = entry{
		Planned: true,
		Purpose: "`Count` with " + filter + " and a status.", Index: orStatus,
		Examples: []example{
			{"common, completed", with(common, columns, completed), 24000, 25000},
			{"common, failed", with(common, columns, failed), 9000, 25000},
			{"rare, completed", with(rare, columns, completed), 26, 860},
		},
	}
	b["ListTasksBy"+by] = entry{
		Planned: true,
		Purpose: "`List` with " + filter + ".", Index: slices.Concat(index, []string{"tasks_pkey"}),
		Examples: []example{
			{"common", with(common, columns, pageOf(nil)), 48, 25000},
			{"dormant", with(dormant, columns, pageOf(nil)), 15000, 15000},
			{"rare", with(rare, columns, pageOf(nil)), 26, 30000},
		},
	}
	b["ListTasksBy"+by+"WithStatus"] = entry{
		Planned: true,
		Purpose: "`List` with " + filter + " and a status.", Index: slices.Concat(orStatus, []string{"tasks_pkey"}),
		Examples: []example{
			{"common, completed", with(common, columns, pageOf(completed)), 360, 25000},
			{"common, failed", with(common, columns, pageOf(failed)), 1900, 25000},
			{"dormant, completed", with(dormant, columns, pageOf(completed)), 15000, 15000},
			{"rare, completed", with(rare, columns, pageOf(completed)), 26, 30000},
		},
	}
}
