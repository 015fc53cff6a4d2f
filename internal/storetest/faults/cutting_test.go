package faults

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// faultsTime is how long TestCuttingNetwork runs, at least: a duration, such as 10s; a second if unset.
const faultsTime = "TASKSTORE_FAULTS_TIME"

// Eight programs create, claim and complete through a network that cuts one request of ten, anywhere. What each was
// told, and what it found out by repeating, is compared with what is stored.
func TestCuttingNetwork(t *testing.T) {
	t.Parallel()
	length := time.Second
	if s := os.Getenv(faultsTime); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatalf("%s: %v", faultsTime, err)
		}
	}
	b := storetest.Setup(t)
	p := newProxy(t, b.URL)
	p.random = func() (fault, bool) {
		f := fault{request: 1, answer: rand.Float64()}
		if rand.IntN(2) == 0 {
			f.request = rand.Float64()
		}
		return f, rand.IntN(10) == 0
	}
	s := taskstore.New(b.Connect(t, func(c *pgxpool.Config) {
		p.through(c)
		c.MaxConns = 8
	}), taskstore.WithGroupCommit(true))

	end := time.Now().Add(length)
	programs := make([]*program, 8)
	var running sync.WaitGroup
	for i := range programs {
		programs[i] = &program{
			t: t, s: s, name: i,
			told: make(map[string]int), want: make(map[string]outcome), ended: make(map[int64]bool),
		}
		running.Go(func() {
			for r := programs[i]; time.Now().Before(end) || r.told["`ErrUncertain`"] == 0 || len(r.ended) == 0; {
				r.work()
			}
		})
	}
	running.Wait()

	told, want, ended := make(map[string]int), make(map[string]outcome), make(map[int64]bool)
	for _, r := range programs {
		maps.Copy(want, r.want)
		maps.Copy(ended, r.ended)
		for kind, n := range r.told {
			told[kind] += n
		}
	}
	t.Logf("%s=%v: %d creates, %d tasks completed; told %v", faultsTime, length, len(want), len(ended), told)
	times := make(map[string]int)
	for _, row := range storetest.Stored(t, b.Admin) {
		times[row.Argument]++
		switch done, ok := ended[row.ID]; {
		case ok && done != (row.Status == taskstore.Completed):
			t.Errorf("task %d is %v, and its holder was told that it completed it: %v", row.ID, row.Status, done)
		case !ok && row.Status == taskstore.Completed:
			t.Errorf("task %d is completed by nobody", row.ID)
		}
	}
	for argument, w := range want {
		if n := times[argument]; n < w.least || n > w.most {
			t.Errorf("task %s is stored %d times, want %d to %d", argument, n, w.least, w.most)
		}
	}
}

// outcome is how many times a task may be stored after what its creator was told.
type outcome struct{ least, most int }

// program works through the network.
type program struct {
	t       *testing.T
	s       *taskstore.Store
	name    int
	created int
	told    map[string]int     // how often it was told each kind of outcome
	want    map[string]outcome // by argument
	ended   map[int64]bool     // tasks that it tried to complete, and whether it did
}

// try notes what a write told.
func (r *program) try(err error) error {
	r.told[told(err)]++
	return err
}

func (r *program) work() {
	r.created++
	nt := taskstore.NewTask{Argument: fmt.Sprintf("%d/%d", r.name, r.created)}
	ctx := r.t.Context()
	if r.created%2 == 0 { // with a key, until it answers
		nt.Key = nt.Argument
		for {
			task, err := r.s.Create(ctx, nt)
			if r.try(err) == nil && task.Argument != nt.Argument {
				r.t.Errorf("the task of key %s is %+v", nt.Key, task)
			}
			if err == nil {
				break
			}
		}
		r.want[nt.Argument] = outcome{1, 1}
	} else {
		_, err := r.s.Create(ctx, nt)
		switch r.try(err) {
		case nil:
			r.want[nt.Argument] = outcome{1, 1}
		default:
			r.want[nt.Argument] = outcome{0, 0}
			if errors.Is(err, taskstore.ErrUncertain) {
				r.want[nt.Argument] = outcome{0, 1}
			}
		}
	}

	tasks, err := r.s.Claim(ctx, 2)
	_ = r.try(err) // tasks that nobody holds stay in processing here
	for _, task := range tasks {
		r.ended[task.ID] = r.complete(task)
	}
}

// complete repeats until it is certain, and reports whether it completed task. A conflict after an attempt that was
// uncertain says that the attempt had done it: nobody else has the lease.
func (r *program) complete(task taskstore.Task) bool {
	for uncertain := false; ; {
		err := r.try(r.s.Complete(r.t.Context(), task))
		switch {
		case err == nil:
			return true
		case errors.Is(err, taskstore.ErrConflict):
			if !uncertain {
				r.t.Errorf("the lease of task %d is lost to nobody: %v", task.ID, err)
			}
			return uncertain
		case errors.Is(err, taskstore.ErrUncertain):
			uncertain = true
		}
	}
}
