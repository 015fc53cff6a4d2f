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
		hs, lost, err := o.store.renew(ctx, func() []held { return o.toRenew(now) })
		return func() { o.renewed(now, hs, lost, err) }
	})
	return time.Time{}
}

func (o *owner) beatEvery() time.Duration { return o.cfg.SilentFor / 6 }

// toRenew takes what a heartbeat that began at that time renews. It does not run in the owner's goroutine.
func (o *owner) toRenew(now time.Time) []held {
	taken := make(chan []held, 1)
	o.do(func() {
		var hs []held
		for _, l := range o.leases {
			h, ok := l.take()
			switch {
			case ok && (h.doubt != 0 || now.Sub(h.renewed) >= o.beatEvery()/2):
				hs = append(hs, h)
			case ok: // younger
				l.version <- h.version
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

// renewed ends a heartbeat that began at that time.
func (o *owner) renewed(began time.Time, hs []held, lost []int64, err error) {
	o.beating = false
	o.heard(err)
	if err != nil {
		o.beatAt = began // as soon as the database is tried again
	}
	for _, h := range hs {
		if err == nil {
			h.renewed = began
		}
		if h.lease.version <- h.version; h.doubt != 0 {
			o.beatAt = latest(o.beatAt, began.Add(o.beatEvery()/4))
		}
		if err == nil && slices.Contains(lost, h.task.ID) {
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
		var retried, requeued, ids []int64
		var err error
		for i := 0; i < len(o.cfg.From) && err == nil; i++ {
			ids, err = o.store.RetryDue(ctx, o.cfg.From[i], maxUpkeep)
			retried = append(retried, ids...)
			if err == nil && requeue {
				ids, err = o.store.RequeueStale(ctx, o.cfg.From[i], o.cfg.SilentFor, maxUpkeep)
				requeued = append(requeued, ids...)
			}
		}
		return func() {
			o.keeping = false
			o.tellSome(Retried, len(retried))
			o.tellSome(Requeued, len(requeued))
			o.heard(err)
		}
	})
	return time.Time{}
}

// latest returns the latest of some times.
func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }
