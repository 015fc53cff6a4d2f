package race

import (
	"testing"

	"github.com/tasklane/tasks/taskstore"
)

// Histories that the model must explain or reject, each step after the one before it.
func TestLeaseModel(t *testing.T) {
	t.Parallel()
	const a, b, c, d = 10, 20, 30, 40 // versions
	claim := func(got taskstore.Millis) step { return step{kind: stepClaim, got: got, outcome: tookPlace} }
	beat := func(version, got taskstore.Millis) step {
		return step{kind: stepHeartbeat, version: version, got: got, outcome: tookPlace}
	}
	beatRefused := func(version taskstore.Millis) step {
		return step{kind: stepHeartbeat, version: version, outcome: wasRefused}
	}
	complete := func(version taskstore.Millis, o outcome) step {
		return step{kind: stepEnd, version: version, to: taskstore.Completed, outcome: o}
	}
	release := step{kind: stepEnd, version: a, to: taskstore.Pending, outcome: tookPlace}
	requeue := step{kind: stepRequeue, outcome: tookPlace}
	reset := step{kind: stepReset, to: taskstore.Pending, outcome: tookPlace}
	touch := step{kind: stepTouch, outcome: tookPlace}
	save := func(to taskstore.Status) step { return step{kind: stepSave, to: to, outcome: tookPlace} }
	read := func(st taskstore.Status, got taskstore.Millis) step {
		return step{kind: stepRead, to: st, got: got, outcome: tookPlace}
	}
	update := func(version, got taskstore.Millis) step {
		return step{kind: stepUpdate, version: version, got: got, outcome: tookPlace}
	}
	lostBeat := step{kind: stepHeartbeat, version: a, outcome: isUnknown}
	const pending, processing, completed = taskstore.Pending, taskstore.Processing, taskstore.Completed

	for name, tt := range map[string]struct {
		steps []step
		legal bool
	}{
		"a life": {[]step{claim(a), beat(a, b), complete(b, tookPlace),
			read(completed, c)}, true},
		"a late worker is refused": {[]step{claim(a), requeue, claim(b), complete(a, wasRefused),
			complete(b, tookPlace)}, true},
		"a late worker completes":            {[]step{claim(a), requeue, claim(b), complete(a, tookPlace)}, false},
		"a late worker completes pending":    {[]step{claim(a), requeue, complete(a, tookPlace)}, false},
		"a late worker renews":               {[]step{claim(a), requeue, claim(b), beat(a, c)}, false},
		"a live lease is refused":            {[]step{claim(a), complete(a, wasRefused)}, false},
		"a live lease is not renewed":        {[]step{claim(a), beatRefused(a)}, false},
		"a spent token completes":            {[]step{claim(a), beat(a, b), complete(a, tookPlace)}, false},
		"completed twice":                    {[]step{claim(a), complete(a, tookPlace), complete(a, tookPlace)}, false},
		"claimed twice":                      {[]step{claim(a), claim(b)}, false},
		"claimed after completion":           {[]step{claim(a), complete(a, tookPlace), claim(b)}, false},
		"claimed again after release":        {[]step{claim(a), release, claim(b), beat(b, c)}, true},
		"a version comes back":               {[]step{claim(b), reset, claim(b)}, false},
		"a version sinks":                    {[]step{claim(b), reset, claim(a)}, false},
		"a heartbeat passes by a locked row": {[]step{claim(a), beat(a, a), complete(a, tookPlace)}, true},
		"passed by, though lost":             {[]step{claim(a), requeue, beat(a, a)}, false},
		"a heartbeat lowers":                 {[]step{claim(b), beat(b, a)}, false},
		"a reset takes the lease":            {[]step{claim(a), reset, complete(a, wasRefused), claim(b)}, true},
		"a reset leaves the lease":           {[]step{claim(a), reset, complete(a, tookPlace)}, false},
		"a touch leaves the lease":           {[]step{claim(a), touch, complete(a, tookPlace)}, true},
		"a touch takes the lease":            {[]step{claim(a), touch, complete(a, wasRefused)}, false},
		"a touch raises what is pending":     {[]step{read(pending, a), touch, read(pending, b)}, true},
		"a touch does not":                   {[]step{read(pending, a), touch, read(pending, a)}, false},
		"a save of the same status":          {[]step{claim(a), save(processing), complete(a, tookPlace)}, true},
		"a save of another status": {[]step{claim(a), save(completed), complete(a, wasRefused),
			read(completed, b)}, true},
		"a save of another, lease alive": {[]step{claim(a), save(completed), complete(a, tookPlace)}, false},
		"a lost heartbeat that took place": {[]step{claim(a), lostBeat, complete(a, wasRefused),
			requeue, claim(c)}, true},
		"a lost heartbeat that did not": {[]step{claim(a), lostBeat, complete(a, tookPlace)}, true},
		"lost, and read":                {[]step{claim(a), lostBeat, read(processing, b), beat(b, c)}, true},
		"lost, refused, and yet there": {[]step{claim(a), lostBeat, complete(a, wasRefused),
			read(processing, a)}, false},
		"lost completion that took place": {[]step{claim(a), complete(a, isUnknown), read(completed, b)}, true},
		"lost completion of another's lease": {[]step{claim(a), requeue, claim(b), complete(a, isUnknown),
			read(completed, c)}, false},
		"a requeued task that was not working": {[]step{requeue}, false},
		"what was read is not what is there":   {[]step{claim(a), complete(a, tookPlace), read(pending, b)}, false},
		"an update takes the lease":            {[]step{claim(a), update(a, b), complete(a, wasRefused)}, true},
		"an update of an old version":          {[]step{claim(a), beat(a, b), update(a, d)}, false},
		"a retry of what failed": {[]step{claim(a), {kind: stepEnd, version: a, to: taskstore.Failed, outcome: tookPlace},
			{kind: stepRetry, outcome: tookPlace}, claim(b)}, true},
		"a retry of what did not": {[]step{claim(a), {kind: stepRetry, outcome: tookPlace}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h timeline
			for i, s := range tt.steps {
				h.add(0, s, int64(10*i), int64(10*i+5))
			}
			if got := h.explained(t); got != tt.legal {
				t.Errorf("explained: %v, want %v\n%v", got, tt.legal, h)
			}
		})
	}
}
