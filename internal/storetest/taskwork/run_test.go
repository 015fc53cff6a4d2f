package taskwork

import (
	"context"
	"testing"
	"sync/atomic"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 5000)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var n atomic.Int64
	err := taskwork.Run(ctx, b.Store, taskwork.Config{Workers: 64}, func(context.Context, taskstore.Task) error {
		if n.Add(1) == 5000 {
			stop()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(storetest.One[int](t, b.Pool, "SELECT count(*) FROM tasks WHERE status = 2"))
}
