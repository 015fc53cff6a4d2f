package connect

import (
	"errors"
	"strings"
	"testing"
)

// Whoever has forgotten DATABASE_URL is told so; who uses libpq's variables has not forgotten it.
func TestNoURL(t *testing.T) {
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
