package migrate

import (
	"crypto/rand"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
)

// What the server logs of a run is what plan has listed, word by word and in that order. Of a back-fill it logs the
// statement that plan calls repeated once a slice.
func TestTheServerLogsWhatPlanLists(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Setting("log_statement", "all"),
		pgserver.Setting("logging_collector", "on"), pgserver.Setting("log_destination", "csvlog"))
	for _, adopted := range []bool{false, true} {
		url, _, err := server.CreateDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := setupWith(t, dbtest.With(t, url, "application_name", "taskmigrate"), func(*Options) {})
		if adopted {
			dbtest.Exec(t, url, document.DDL, manyRows)
			if _, err := b.Adopt(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		before := len(logged(t, url))
		plan, _, err := b.Plan(t.Context(), Newest)
		if err != nil {
			t.Fatal(err)
		}
		if sent := logged(t, url)[before:]; len(sent) > 0 {
			t.Errorf("adopted %v: plan sent %q", adopted, sent)
		}
		if _, err := b.Up(t.Context(), Newest); err != nil {
			t.Fatal(err)
		}
		var want []string
		var repeated string
		for _, s := range plan.Statements {
			want = append(want, s.SQL+parameters(s.Args))
			if s.Repeats {
				repeated = s.SQL
			}
		}
		sent := logged(t, url)[before:]
		slice := func(sql string) bool { return sql == repeated }
		if first := slices.IndexFunc(sent, slice); first < 0 || slices.ContainsFunc(sent[first+1:], slice) != adopted {
			t.Errorf("adopted %v: the back-fill's statement was not sent as often as it has rows", adopted)
		} else {
			same := func(a, b string) bool { return a == b && slice(a) }
			sent = append(sent[:first], slices.CompactFunc(sent[first:], same)...)
		}
		if !slices.Equal(sent, want) {
			t.Errorf("adopted %v: up sent\n%s\nand plan lists\n%s", adopted, strings.Join(sent, "\n"), strings.Join(want, "\n"))
		}
	}
}

func parameters(args []any) string {
	var text string
	for i, arg := range args {
		if arg == true {
			arg = "t"
		}
		text += fmt.Sprintf(", $%d = '%v'", i+1, arg)
	}
	return text
}

// logged lists what taskmigrate's sessions have sent to a database, but for what only reads and for how a session
// begins.
func logged(t *testing.T, url string) []string {
	t.Helper()
	const database, commandTag, severity, message, detail, application = 2, 7, 11, 13, 14, 22
	aside := []string{
		"SELECT", "-- ping", "SET search_path TO pg_catalog, pg_temp",
		"SET LOCAL lock_timeout = '100ms'; DO $$ -- lock: ACCESS SHARE on the catalog\n", // isThere
	}
	// The server writes its log in its own time. Once a later statement is there, all earlier ones are.
	end := rand.Text()
	dbtest.Exec(t, url, `SELECT '`+end+`'`)
	var text string
	dbtest.Eventually(t, func() string {
		text = dbtest.Value[string](t, url, `SELECT pg_read_file(pg_current_logfile('csvlog'))`)
		if !strings.Contains(text, end) {
			return "the end of the log"
		}
		return ""
	})
	var sent []string
	for rows := csv.NewReader(strings.NewReader(text)); ; {
		row, err := rows.Read()
		if err != nil {
			t.Fatal(err)
		}
		_, sql, _ := strings.Cut(row[message], ": ")
		isAside := func(begin string) bool { return strings.HasPrefix(strings.TrimSpace(sql), begin) }
		switch {
		case strings.Contains(sql, end):
			return sent
		case row[database] != dbtest.Name(t, url), row[application] != "taskmigrate", row[severity] != "LOG",
			row[commandTag] == "SELECT", slices.ContainsFunc(aside, isAside):
			continue
		}
		if _, list, ok := strings.Cut(row[detail], ": "); ok {
			sql += ", " + list
		}
		sent = append(sent, sql)
	}
}
