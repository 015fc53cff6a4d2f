package explain_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/explain"
)

const explained = `Limit (actual rows=2 loops=1)
  Buffers: shared hit=40 read=3 dirtied=2 written=1, temp read=9 written=9
  ->  Sort (actual rows=2 loops=1)
        Sort Key: id DESC
        Sort Method: quicksort  Memory: 25kB
        Buffers: shared hit=40 read=3
        ->  Bitmap Heap Scan on tasks (actual rows=2 loops=1)
              Recheck Cond: (id = ANY ('{1,2,3,4,5,6,7,8,9,10}'::bigint[]))
              Buffers: shared hit=38 read=3
              ->  BitmapAnd (actual rows=0 loops=1)
                    ->  Bitmap Index Scan on idx_status (actual rows=9 loops=1)
                          Buffers: shared hit=2
                    ->  Bitmap Index Scan on idx_task (actual rows=9 loops=1)
                          Buffers: temp read=9
Planning:
  Buffers: shared hit=271`

func TestReadKeepsWhatDoesNotVary(t *testing.T) {
	t.Parallel()
	p := explain.Read(strings.Split(explained, "\n"))
	want := `Limit (actual rows=2 loops=1)
  Pages: 43
  ->  Sort (actual rows=2 loops=1)
        Sort Key: id DESC
        Sort Method: quicksort
        Pages: 43
        ->  Bitmap Heap Scan on tasks (actual rows=2 loops=1)
              Recheck Cond: (id = ANY ('{1,…}'::bigint[]))
              Pages: 41
              ->  BitmapAnd (actual rows=0 loops=1)
                    ->  Bitmap Index Scan on idx_status (actual rows=9 loops=1)
                          Pages: 2
                    ->  Bitmap Index Scan on idx_task (actual rows=9 loops=1)`
	if p.Text != want {
		t.Errorf("got\n%s\nwant\n%s", p.Text, want)
	}
	if p.Pages != 43 || p.SeqScan || !slices.Equal(p.Indexes, []string{"idx_status", "idx_task"}) {
		t.Errorf("pages %d, sequential scan %v, indexes %v", p.Pages, p.SeqScan, p.Indexes)
	}
}

func TestReadFindsEachKindOfScan(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"Index Scan using tasks_pkey on tasks (actual rows=1 loops=1)":              "tasks_pkey",
		"Index Scan Backward using tasks_pkey on tasks old (actual rows=1 loops=1)": "tasks_pkey",
		"Index Only Scan using idx_task on tasks (actual rows=1 loops=1)":           "idx_task",
		"  ->  Bitmap Index Scan on idx_status (actual rows=1 loops=1)":             "idx_status",
		"Seq Scan on tasks (actual rows=1 loops=1)":                                 "",
	} {
		p := explain.Read([]string{line})
		if strings.Join(p.Indexes, " ") != want || p.SeqScan != (want == "") {
			t.Errorf("%s: %v, sequential scan %v", line, p.Indexes, p.SeqScan)
		}
	}
}
