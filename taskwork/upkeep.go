package taskwork

import (
	"context"
	"slices"
	"time"
)

// maxUpkeep is how many tasks one call requeues or retries.
const maxUpkeep = 1000

// beat begins a heartbeat of all leases if it is time, and returns when to look again.
func (o *owner) beat(now time.Time) time.Time {
	if o.beating || len(o.leases) == 0 {
		return time.Time{}
	}
	if due := latest(o.beatAt, o.resumeAt); now.Before(due) {
		return due
	}
	o.beatAt = now.Add(o.beatEvery())
	o.beating = true
	// So short that a connection which has gone mute leaves time for others.
	o.call(max(o.beatEvery()/2, 500*time.Millisecond), func(ctx context.Context) func() {
		hs, lost, err := o.store.renew(ctx, o.takeAll)
		return func() { o.renewed(hs, lost, err) }
	})
	return time.Time{}
}

func (o *owner) beatEvery() time.Duration { return o.cfg.SilentFor / 6 }

// takeAll takes all versions that are there, for a heartbeat. It does not run in the owner's goroutine.
func (o *owner) takeAll() []held {
	taken := make(chan []held, 1)
	o.do(func() {
		var hs []held
		for _, l := range o.leases {
			if h, ok := l.take(); ok {
				hs = append(hs, h)
			}
		}
		taken <- hs
	})
	select {
	case hs := <-taken:
		return hs
	case <-o.over:
		return nil
	}
}

// renewed ends a heartbeat.
func (o *owner) renewed(hs []held, lost []int64, err error) {
	o.beating = false
	o.heard(err)
	if err != nil {
		o.beatAt = time.Time{} // as soon as the database is tried again
	}
	for _, h := range hs {
		h.lease.version <- h.version
		if slices.Contains(lost, h.task.ID) {
			o.lose(h.lease, nil)
		}
	}
}

// keep retries what is due, and requeues the tasks of silent workers, if it is time. It returns when to look again.
func (o *owner) keep(now time.Time) time.Time {
	if o.keeping || o.stopping {
		return time.Time{}
	}
	if due := latest(o.retryAt, o.resumeAt); now.Before(due) {
		return due
	}
	o.retryAt = now.Add(jitter(max(o.cfg.Poll, time.Second)))
	requeue := o.awaySince.IsZero() && !now.Before(latest(o.requeueAt, o.quietTill))
	if requeue {
		o.requeueAt = now.Add(jitter(o.beatEvery()))
	}
	o.keeping = true
	o.call(o.patience(), func(ctx context.Context) func() {
		var retried, requeued int
		var err error
		for i := 0; i < len(o.cfg.From) && err == nil; i++ {
			var ids []int64
			ids, err = o.store.RetryDue(ctx, o.cfg.From[i], maxUpkeep)
			if retried += len(ids); err == nil && requeue {
				ids, err = o.store.RequeueStale(ctx, o.cfg.From[i], o.cfg.SilentFor, maxUpkeep)
				requeued += len(ids)
			}
		}
		return func() {
			o.keeping = false
			o.tell(Event{Kind: Retried, N: retried})
			o.tell(Event{Kind: Requeued, N: requeued})
			o.heard(err)
		}
	})
	return time.Time{}
}

// latest returns the latest of some times.
func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }
