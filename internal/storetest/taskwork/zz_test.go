package taskwork

import (
	"context"
	"testing"
	"time"
	"sync/atomic"
	"os"
	"strconv"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

func TestZZ(t *testing.T) {
	b := storetest.Setup(t)
	w, _ := strconv.Atoi(os.Getenv("W"))
	N := 20000
	b.CreateMany(t, N)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var n atomic.Int64
	cfg := taskwork.Config{Workers: w}
	claims, sum := 0, 0
	cfg.Observe = func(e taskwork.Event) { if e.Kind == taskwork.Claimed { claims++; sum += e.N } }
	began := time.Now()
	err := taskwork.Run(ctx, b.Store, cfg, func(context.Context, taskstore.Task) error {
		time.Sleep(time.Millisecond)
		if n.Add(1) == int64(N) { stop() }
		return nil
	})
	t.Log(err, w, float64(N)/time.Since(began).Seconds(), "per s;", claims, "claims of", sum/claims)
}
