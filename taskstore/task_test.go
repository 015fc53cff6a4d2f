package taskstore

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

// The JSON of a task has the column names in their order, and integers for status and times.
func TestTaskAsJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		task Task
		want string
	}{
		{
			Task{
				ID: 1, IntegrationID: 2, UserID: 3, ClientID: 4, AccountID: 5, TemplateID: 6,
				Argument: `{"project":"project_name", "status": "offline"}`,
				Status:   Processing, CreatedAt: 1721818960936, UpdatedAt: 1721818960937,
			},
			`{"id":1,"integration_id":2,"user_id":3,"client_id":4,"account_id":5,"template_id":6,` +
				`"argument":"{\"project\":\"project_name\", \"status\": \"offline\"}",` +
				`"status":1,"created_at":1721818960936,"updated_at":1721818960937}`,
		},
		{
			Task{},
			`{"id":0,"integration_id":0,"user_id":0,"client_id":0,"account_id":0,"template_id":0,` +
				`"argument":"","status":0,"created_at":0,"updated_at":0}`,
		},
		{
			Task{ID: math.MaxInt64, UserID: math.MinInt64, Status: Failed, UpdatedAt: math.MaxInt64},
			`{"id":9223372036854775807,"integration_id":0,"user_id":-9223372036854775808,"client_id":0,` +
				`"account_id":0,"template_id":0,` +
				`"argument":"","status":3,"created_at":0,"updated_at":9223372036854775807}`,
		},
	} {
		text, err := json.Marshal(c.task)
		if err != nil || string(text) != c.want {
			t.Errorf("the JSON is\n%s, %v, want\n%s", text, err, c.want)
		}
		var back Task
		if err := json.Unmarshal(text, &back); err != nil || back != c.task {
			t.Errorf("read back %+v, %v, want %+v", back, err, c.task)
		}
	}
}

func TestCheckArgument(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "a", "任务", "\ufffd", "\x01\x7f", strings.Repeat("é", 1000)} {
		if err := checkText("argument", good, maxBytes); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, reason := range map[string]string{
		"\x00":          "NUL at byte 0",
		"任务\x00":        "NUL at byte 6",
		"\xff":          "not valid UTF-8 at byte 0",
		"\ufffd\xe4":    "not valid UTF-8 at byte 3",
		"a\xed\xa0\x80": "not valid UTF-8 at byte 1",
	} {
		if err := checkText("argument", bad, maxBytes); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: error %v, want %q", bad, err, reason)
		}
	}
}

func TestFilterRefusesWhatIsNoStatus(t *testing.T) {
	t.Parallel()
	filters := []Filter{
		{}, ByIntegration(1), ByUser(1), ByClient(1), ByAccount(1), ByTemplate(1), ByBatch(Batch{}), ByStatus(Completed),
	}
	for _, f := range filters {
		if err := f.check(); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
		for st := Pending; st <= Failed; st++ {
			if err := f.WithStatus(st).check(); err != nil {
				t.Errorf("%+v with %v: %v", f, st, err)
			}
		}
		for _, st := range []Status{-1, 4, math.MaxInt32, math.MinInt32} {
			if err := fail(f.WithStatus(st).check(), "list tasks"); !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v with status %d: error %v, want ErrInvalid", f, st, err)
			}
			if err := f.WithStatus(st).WithStatus(Failed).check(); err != nil {
				t.Errorf("%+v: the status that was replaced still counts: %v", f, err)
			}
		}
	}
	f := ByUser(1)
	if g := f.WithStatus(Failed); f != ByUser(1) || g == f {
		t.Error("WithStatus changed the filter that it was called on")
	}
}
