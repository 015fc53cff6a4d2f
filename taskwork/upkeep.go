package taskwork

import (
	"context"
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
	for _, l := range o.leases {
		if o.beating = o.old(l, now); o.beating {
			break
		}
	}
	if !o.beating { // most tasks end sooner
		return o.beatAt
	}
	take := func() []renewal {
		taken := make(chan []renewal, 1)
		o.do(func() { taken <- o.take() })
		select {
		case rs := <-taken:
			return rs
		case <-o.over:
			return nil
		}
	}
	// So short that a connection which has gone mute leaves time for others.
	o.call(max(o.beatEvery()/2, 500*time.Millisecond), func(ctx context.Context) func() {
		rs, err := o.store.renew(ctx, take)
		return func() { o.beaten(now, rs, err) }
	})
	return time.Time{}
}

func (o *owner) beatEvery() time.Duration { return o.cfg.SilentFor / 6 }

// old reports whether l is due for a heartbeat.
func (o *owner) old(l *lease, now time.Time) bool {
	return l.with == withOwner && (l.doubt != 0 || now.Sub(l.renewed) >= o.beatEvery()/2)
}

// take lends what is due to a heartbeat.
func (o *owner) take() []renewal {
	var rs []renewal
	now := time.Now()
	for _, l := range o.leases {
		if o.old(l, now) {
			l.with = withHeartbeat
			rs = append(rs, renewal{lease: l, id: l.task.ID, at: l.task.UpdatedAt, doubt: l.doubt})
		}
	}
	return rs
}

// beaten ends a heartbeat that began at that time.
func (o *owner) beaten(began time.Time, rs []renewal, err error) {
	o.beating = false
	o.heard(err)
	if err != nil {
		o.beatAt = began // as soon as the database is tried again
	}
	for _, r := range rs {
		l := r.lease
		l.with, l.task.UpdatedAt, l.doubt = withOwner, r.at, r.doubt
		switch {
		case err != nil:
		case r.lost:
			o.lose(l, nil)
		default:
			l.renewed = began
		}
		if l.doubt != 0 { // somebody has locked the row, the lost heartbeat perhaps
			o.beatAt = time.Now().Add(o.beatEvery() / 4)
		}
		o.lend(l)
	}
}

// keep retries what is due, and requeues the tasks of silent workers, if it is time. It returns when to look again.
func (o *owner) keep(now time.Time) time.Time {
	if o.keeping || o.stopping() {
		return time.Time{}
	}
	due := latest(o.retryAt, o.resumeAt)
	if now.Before(due) {
		return due
	}
	requeue := o.awaySince.IsZero() && !now.Before(latest(o.requeueAt, o.quietTill))
	if requeue {
		o.requeueAt = now.Add(jitter(o.beatEvery()))
	}
	o.retryAt = now.Add(jitter(max(o.cfg.Poll, time.Second)))
	o.keeping = true
	o.call(o.patience(), func(ctx context.Context) func() {
		var retried, requeued int
		var err error
		for _, f := range o.cfg.From {
			var ids []int64
			ids, err = o.store.RetryDue(ctx, f, maxUpkeep)
			if retried += len(ids); err == nil && requeue {
				ids, err = o.store.RequeueStale(ctx, f, o.cfg.SilentFor, maxUpkeep)
				requeued += len(ids)
			}
			if err != nil {
				break
			}
		}
		return func() { o.kept(retried, requeued, err) }
	})
	return time.Time{}
}

func (o *owner) kept(retried, requeued int, err error) {
	o.keeping = false
	if retried > 0 {
		o.tell(Event{Kind: Retried, N: retried})
	}
	if requeued > 0 {
		o.tell(Event{Kind: Requeued, N: requeued})
	}
	if isMisuse(err) {
		o.misuse = err
		return
	}
	o.heard(err)
}

// latest returns the latest of some times.
func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
