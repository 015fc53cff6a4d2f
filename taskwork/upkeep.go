package taskwork

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// maxUpkeep is how many tasks one call requeues or retries.
const maxUpkeep = 1000

// beat begins a heartbeat of all leases if it is time, and returns when to look again.
func (o *owner) beat(now time.Time) time.Duration {
	if o.beating || len(o.leases) == 0 {
		return never
	}
	if wait := o.beatAt.Sub(now); wait > 0 {
		return wait
	}
	leases, wait := slices.Collect(maps.Values(o.leases)), o.beatEvery()
	if slices.ContainsFunc(leases, func(l *lease) bool { return l.delayed }) {
		wait = min(wait, time.Second) // which sends the ends of those that it renews
	}
	o.beating, o.beatAt = true, now.Add(wait)
	// So short that a connection which has gone mute leaves time for others.
	o.call(max(o.beatEvery()/2, 500*time.Millisecond), func(ctx context.Context) func() {
		renewed, lost, err := o.store.renew(ctx, leases)
		return func() {
			o.beating = false
			o.heard(err, true)
			if err != nil {
				o.beatAt = time.Time{} // as soon as the database is tried again
			}
			o.repair(renewed)
			for _, l := range lost {
				if l.maybe == "" || l.end.Kind != "" { // else its handler has completed it, and its return will tell
					o.lose(l, nil)
				}
			}
		}
	})
	return never
}

func (o *owner) beatEvery() time.Duration { return o.cfg.SilentFor / 6 }

// keep retries what is due, and requeues the tasks of silent workers, if it is time. It returns when to look again.
func (o *owner) keep(now time.Time) time.Duration {
	if o.keeping || o.stopping {
		return never
	}
	if wait := o.retryAt.Sub(now); wait > 0 {
		return wait
	}
	o.keeping, o.retryAt = true, now.Add(jitter(max(o.cfg.Poll, time.Second)))
	requeue := !o.cutOff && now.After(o.requeueAt)
	if requeue {
		o.requeueAt = now.Add(jitter(o.beatEvery()))
	}
	o.call(o.patience(), func(ctx context.Context) func() {
		var retried, requeued []int64
		var err error
		for _, f := range o.cfg.From { // although it fails for another, and requeues although retries fail
			ids, failed := o.store.RetryDue(ctx, f, maxUpkeep)
			retried, err = append(retried, ids...), cmp.Or(err, failed)
			if requeue {
				ids, failed = o.store.RequeueStale(ctx, f, o.cfg.SilentFor, maxUpkeep)
				requeued, err = append(requeued, ids...), cmp.Or(err, failed)
			}
		}
		return func() {
			o.keeping = false
			if len(retried) >= maxUpkeep { // more may be due
				o.retryAt = time.Time{}
			}
			o.tell(Event{Kind: Retried, N: len(retried)})
			o.tell(Event{Kind: Requeued, N: len(requeued)})
			o.heard(err, !notNow(err))
		}
	})
	return never
}
