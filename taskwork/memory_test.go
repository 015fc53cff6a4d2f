package taskwork

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

// memory is a store in memory, for what is a matter of time and order alone. Its clock is the test's.
type memory struct {
	mu       sync.Mutex
	rows     map[int64]*taskstore.Task
	failures map[int64]taskstore.LastFailure
	down     error                                      // what each call returns
	before   func(call string, e taskstore.Ended) error // what an exchange returns without being done
	after    func(call string) error                    // what a call returns although it was done
	late     func(e taskstore.Ended) time.Duration      // how much later the answer to an exchange comes
	claiming error                                      // what an exchange that claims returns without being done
	locked   int64                                      // somebody has locked that row
	waiting  map[chan struct{}][]taskstore.Filter       // those who want to know of arrivals
	calls    []string
	claims   []int // how many each claim asked for
}

func newMemory(n int) *memory {
	m := &memory{waiting: make(map[chan struct{}][]taskstore.Filter)}
	m.rows, m.failures = make(map[int64]*taskstore.Task), make(map[int64]taskstore.LastFailure)
	for i := range n {
		m.add(int64(i+1), taskstore.Pending)
	}
	return m
}

func (m *memory) add(id int64, st taskstore.Status) {
	m.rows[id] = &taskstore.Task{ID: id, TemplateID: id, Status: st, UpdatedAt: taskstore.MillisOf(time.Now())}
}

// create adds a pending task and announces it, as a Store of this process does.
func (m *memory) create(id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(id, taskstore.Pending)
	for ch, from := range m.waiting {
		if slices.ContainsFunc(from, func(f taskstore.Filter) bool { return selects(f, m.rows[id]) }) && len(ch) == 0 {
			ch <- struct{}{}
		}
	}
}

// selects reports whether f, which is ByTemplate or zero, selects a task.
func selects(f taskstore.Filter, t *taskstore.Task) bool {
	return f == taskstore.Filter{} || f == taskstore.ByTemplate(t.TemplateID)
}

// set changes m as somebody else does.
func (m *memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *memory) status(id int64) taskstore.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows[id].Status
}

func (m *memory) count(call string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, c := range m.calls {
		if c == call {
			n++
		}
	}
	return n
}

// move sets a status, and the version as the database would.
func (m *memory) move(row *taskstore.Task, to taskstore.Status) {
	row.Status = to
	row.UpdatedAt = max(taskstore.MillisOf(time.Now()), row.UpdatedAt+1)
}

// begin notes a call that takes a millisecond. With it the caller has the lock until it calls end.
func (m *memory) begin(ctx context.Context, call string, e taskstore.Ended) (end func(), err error) {
	time.Sleep(time.Millisecond)
	m.mu.Lock()
	m.calls = append(m.calls, call)
	err = m.down
	if err == nil && m.before != nil {
		err = m.before(call, e)
	}
	if slices.ContainsFunc(e.Completed, func(t taskstore.Task) bool { return t.ID == m.locked }) {
		err = errMute
	}
	if errors.Is(err, errMute) {
		m.mu.Unlock()
		<-ctx.Done()
		return nil, errors.Join(taskstore.ErrUncertain, ctx.Err())
	}
	if err != nil {
		m.mu.Unlock()
		return nil, err
	}
	return m.mu.Unlock, nil
}

var (
	errDown   = errors.New("connection refused")
	errMute   = errors.New("never answers")
	errUndone = errors.New("rolled back, and nobody was told")
)

func (m *memory) Exchange(
	ctx context.Context, e taskstore.Ended, f taskstore.Filter, n int,
) (ts []taskstore.Task, err error) {
	end, err := m.begin(ctx, "exchange", e)
	if err != nil {
		return nil, err
	}
	if n > 0 && m.claiming != nil {
		defer end()
		return nil, m.claiming
	}
	if m.late != nil {
		defer time.Sleep(m.late(e))
	}
	defer end()
	var lost []int64
	finish := func(t taskstore.Task, to taskstore.Status) bool {
		row := m.rows[t.ID]
		if row.UpdatedAt != t.UpdatedAt || row.Status != taskstore.Processing {
			lost = append(lost, t.ID)
			return false
		}
		m.move(row, to)
		return true
	}
	for _, t := range e.Completed {
		finish(t, taskstore.Completed)
	}
	for _, t := range e.Released {
		finish(t, taskstore.Pending)
	}
	for _, f := range e.Failed {
		if finish(f.Task, taskstore.Failed) {
			last := taskstore.LastFailure{Count: m.failures[f.Task.ID].Count + 1, Reason: f.Reason}
			if f.RetryIn > 0 {
				last.RetryAt = taskstore.MillisOf(time.Now().Add(f.RetryIn))
			}
			m.failures[f.Task.ID] = last
		}
	}
	if n > 0 {
		m.claims = append(m.claims, n)
	}
	for id := int64(1); id <= int64(len(m.rows)) && len(ts) < n; id++ {
		if row := m.rows[id]; row.Status == taskstore.Pending && selects(f, row) {
			m.move(row, taskstore.Processing)
			ts = append(ts, *row)
		}
	}
	if m.after != nil { // a claim whose answer is lost
		if err := m.after("exchange"); err != nil {
			return nil, err
		}
	}
	if len(lost) > 0 {
		return ts, &taskstore.ConflictError{IDs: lost}
	}
	return ts, nil
}

func (m *memory) ClaimFair(ctx context.Context, n int) ([]taskstore.Task, error) {
	return m.Exchange(ctx, taskstore.Ended{}, taskstore.Filter{}, n)
}

func (m *memory) Failures(ctx context.Context, ids ...int64) (_ map[int64]taskstore.LastFailure, err error) {
	end, err := m.begin(ctx, "failures", taskstore.Ended{})
	if err != nil {
		return nil, err
	}
	defer end()
	all := make(map[int64]taskstore.LastFailure)
	for _, id := range ids {
		all[id] = m.failures[id]
	}
	return all, nil
}

func (m *memory) RequeueStale(
	ctx context.Context, _ taskstore.Filter, silentFor time.Duration, _ int,
) (ids []int64, err error) {
	end, err := m.begin(ctx, "requeue", taskstore.Ended{})
	if err != nil {
		return nil, err
	}
	defer end()
	for id, row := range m.rows {
		if id != m.locked && row.Status == taskstore.Processing && time.Since(row.UpdatedAt.Time()) >= silentFor {
			m.move(row, taskstore.Pending)
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (m *memory) RetryDue(ctx context.Context, _ taskstore.Filter, limit int) (ids []int64, err error) {
	end, err := m.begin(ctx, "retry", taskstore.Ended{})
	if err != nil {
		return nil, err
	}
	defer end()
	for id, f := range m.failures {
		if f.RetryAt > 0 && f.RetryAt <= taskstore.MillisOf(time.Now()) && len(ids) < limit {
			f.RetryAt = 0
			m.failures[id] = f
			m.move(m.rows[id], taskstore.Pending)
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (m *memory) Arrival(from ...taskstore.Filter) (arrived <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	m.set(func() { m.waiting[ch] = from })
	return ch, func() { m.set(func() { delete(m.waiting, ch) }) }
}

func (m *memory) renew(ctx context.Context, leases []*lease) (renewed, lost []*lease, err error) {
	end, err := m.begin(ctx, "heartbeat", taskstore.Ended{})
	if err != nil {
		return nil, nil, err
	}
	defer end()
	for _, l := range leases {
		if !l.take() {
			continue
		}
		row, old := m.rows[l.task.ID], l.versions[0]
		switch {
		case row.UpdatedAt != old || row.Status != taskstore.Processing:
			if !l.advance() {
				lost = append(lost, l)
			}
		case l.task.ID == m.locked:
		default:
			m.move(row, taskstore.Processing)
			l.versions = []taskstore.Millis{row.UpdatedAt}
			renewed = append(renewed, l)
			if m.after == nil {
				break
			}
			if lost := m.after("commit"); lost != nil {
				renewed, l.versions, err = nil, []taskstore.Millis{old, row.UpdatedAt}, errDown
				if errors.Is(lost, errUndone) {
					row.UpdatedAt = old
				}
			}
		}
		l.giveBack()
	}
	return renewed, lost, err
}

func (m *memory) complete(_ context.Context, tx pgx.Tx, t taskstore.Task) error {
	if tx == nil {
		panic("no transaction")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if row := m.rows[t.ID]; row.UpdatedAt != t.UpdatedAt || row.Status != taskstore.Processing {
		return &taskstore.ConflictError{IDs: []int64{t.ID}}
	}
	return nil // the test's transaction does the rest
}

// rig is a Run over a memory.
type rig struct {
	*memory
	events []Event
	stop   context.CancelFunc
	done   chan error
}

// start runs h until stop. Call it in a synctest bubble.
func start(t *testing.T, m *memory, cfg Config, h Handler) *rig {
	t.Helper()
	r := &rig{memory: m, done: make(chan error, 1)}
	cfg.Observe = func(e Event) { m.set(func() { r.events = append(r.events, e) }) }
	cfg, err := cfg.complete()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.done <- (&owner{store: m, cfg: cfg, handler: h}).run(ctx) }()
	return r
}

// finish stops r and waits.
func (r *rig) finish(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// told returns how the events of that kind read.
func (r *rig) told(k Kind) (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == k {
			text := fmt.Sprint(e.Task.ID)
			if e.Unsure {
				text += " unsure"
			}
			if e.Err != nil {
				text += ": " + e.Err.Error()
			}
			all = append(all, text)
		}
	}
	return all
}

func (r *rig) want(t *testing.T, k Kind, want ...string) {
	t.Helper()
	if got := r.told(k); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", k, got, want)
	}
}

func (r *rig) wantStatus(t *testing.T, id int64, want taskstore.Status) {
	t.Helper()
	if got := r.status(id); got != want {
		t.Errorf("task %d is %s, want %s", id, got, want)
	}
}

// wait lets d pass, and then everything that is due.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
