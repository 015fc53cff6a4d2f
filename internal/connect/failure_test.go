package connect

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Whoever has forgotten DATABASE_URL is told so; who uses libpq's variables has not forgotten it.
func TestNoURL(t *testing.T) { //nolint:paralleltest // sets variables of the environment
	for _, test := range []struct {
		host, url string
		told      bool
	}{
		{"/nowhere", "", true},
		{"db.example.com", "", false},
		{"/nowhere", "host=/elsewhere", false},
	} {
		t.Setenv("PGHOST", test.host)
		config, err := Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		hint := DescribeAttempt(config.ConnConfig, errors.New("no such file")).Hint
		if strings.Contains(hint, "DATABASE_URL") != test.told {
			t.Errorf("%+v: the hint is %q", test, hint)
		}
	}
}

// Whoever lacks a right is told where rights come from.
func TestAMissingRight(t *testing.T) {
	t.Parallel()
	got := Describe(&pgconn.PgError{Code: "42501", Message: "permission denied for table tasks"})
	if !strings.Contains(got.Hint, "schema/roles.sql") {
		t.Errorf("got %+v", got)
	}
}

func TestTheServersDetailAndHintAreSentences(t *testing.T) {
	t.Parallel()
	hint := Describe(&pgconn.PgError{Detail: "view v depends on\ntable tasks", Hint: "Drop it."}).Hint
	if hint != "view v depends on table tasks. Drop it." {
		t.Errorf("says %q", hint)
	}
}
