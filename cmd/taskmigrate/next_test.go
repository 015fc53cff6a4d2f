package main

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

var commandInText = regexp.MustCompile("(?:with |run |\\()`taskmigrate ([^`]*)`")

// paste runs the command that a text tells to run. The words of these tests have no blanks.
func paste(t *testing.T, code exitCode, address, text string) outcome {
	t.Helper()
	all := commandInText.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		t.Fatalf("no command in %q", text)
	}
	words := strings.Fields(all[0][1])
	for i, word := range words {
		words[i] = strings.Trim(word, "'")
	}
	return must(t, code, address, words...)
}

// Each command tells the next one with the flags that lead to the same table: beside it is another, in public.
func TestTheNextCommandWorksWhenItIsPasted(t *testing.T) {
	t.Parallel()
	address := dbtest.New(t)
	dbtest.Exec(t, address, document.DDL, `CREATE SCHEMA "App"`)
	dbtest.Exec(t, dbtest.With(t, address, "search_path", `"App"`), document.DDL)
	flags := []string{"--schema", "App", "--history-table", "App_history"}
	in := func(args ...string) []string { return append(args, flags...) }

	for _, look := range []outcome{
		must(t, exitDrift, address, in("verify")...), must(t, exitDrift, address, in("verify", "--output", "json")...),
		must(t, exitDone, address, in("adopt")...), must(t, exitDone, address, in("report")...),
	} {
		findings, _, _ := strings.Cut(look.stdout, "WHAT UP SENDS")
		for _, quoted := range regexp.MustCompile("`taskmigrate [^`]*`").FindAllString(findings, -1) {
			if strings.Count(quoted, " --history-table App_history --schema App") != 1 {
				t.Errorf("%s leads to another table", quoted)
			}
		}
	}
	dbtest.Exec(t, address, `ALTER TABLE "App".tasks ALTER user_id TYPE integer`)
	blocked := must(t, exitDrift, address, in("adopt")...)
	hint := regexp.MustCompile(`SET search_path TO "App"`).FindString(blocked.stderr)
	fix := regexp.MustCompile(`ALTER TABLE tasks .* TYPE bigint`).FindString(blocked.stdout)
	dbtest.Exec(t, address, hint+"; "+fix)

	refused := must(t, exitFailed, address, in("up")...)
	shown := paste(t, exitDone, address, refused.stderr) // adopt
	if strings.Contains(shown.stdout, "managed already") {
		t.Fatalf("says %q", shown.stdout)
	}
	taken := paste(t, exitDone, address, shown.stdout) // adopt --yes
	dbtest.Exec(t, address, `CREATE VIEW "App".task_failures AS SELECT 1`)
	stopped := paste(t, exitFailed, address, taken.stdout) // up
	if !strings.Contains(stopped.stderr, "rename what has that name") {
		t.Errorf("says %q", stopped.stderr)
	}
	dbtest.Exec(t, address, `DROP VIEW "App".task_failures`)
	_ = paste(t, exitDone, address, stopped.stderr) // up
	must(t, exitDone, address, in("verify")...)

	dbtest.Exec(t, address, `CREATE VIEW "App".keep AS SELECT * FROM "App".task_keys`)
	down := in("down", "--to", "1", "--allow-data-loss", "--confirm", dbtest.Name(t, address))
	stopped = must(t, exitFailed, address, down...)
	dbtest.Exec(t, address, `DROP VIEW "App".keep`)
	_ = paste(t, exitDone, address, stopped.stderr) // down
	if dbtest.Value[bool](t, address, `SELECT to_regclass('public.tasks_goose_version') IS NOT NULL`) {
		t.Error("the table in public was touched")
	}
}

// A database that a flag names is named again, and a password is not.
func TestTheNextCommandNamesTheDatabase(t *testing.T) {
	t.Parallel()
	address := dbtest.New(t)
	dbtest.Exec(t, address, `CREATE VIEW task_failures AS SELECT 1`)
	bare, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := bare.User.Password()
	bare.User = url.User(bare.User.Username())
	for _, test := range []struct{ variable, flag, next string }{
		{address, "", "`taskmigrate up`"},
		{"postgres://elsewhere.invalid/x", bare.String(), "`taskmigrate up --database-url '" + bare.String() + "'`"},
		{"postgres://elsewhere.invalid/x", address, "`taskmigrate up --database-url …`"},
	} {
		args := []string{"up"}
		if test.flag != "" {
			args = append(args, "--database-url", test.flag)
		}
		got := runWith(t, test.variable, []string{"PGPASSWORD=" + secret}, args...)
		if got.code != exitFailed || !strings.Contains(got.stderr, test.next) || strings.Contains(got.stderr, secret) {
			t.Errorf("exit %d, %q, want %s", got.code, got.stderr, test.next)
		}
	}
}
