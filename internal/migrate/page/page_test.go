package page_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/migrate/page"
)

// foreign is a table as GORM makes it, with faults that adopt names: some block, some are put right.
const foreign = `
CREATE TABLE tasks (
    id bigserial PRIMARY KEY,
    integration_id bigint NOT NULL, user_id bigint NOT NULL, client_id bigint NOT NULL,
    account_id bigint NOT NULL, template_id bigint NOT NULL,
    argument varchar(200), status integer DEFAULT 0, created_at bigint, updated_at bigint,
    "<b>odd|name</b>" text NOT NULL);
CREATE INDEX idx_status ON tasks (user_id);
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, "<b>odd|name</b>")
SELECT 1, 2, 3, 4, 5, repeat('x', 100), '' FROM generate_series(1, 1000);
ANALYZE tasks;`

// review reviews the database in a session that can only read.
func review(t *testing.T, url string) migrate.Review {
	t.Helper()
	readOnly := dbtest.With(t, url, "options", "-c default_transaction_read_only=on")
	m, err := migrate.New(readOnly, migrate.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Review(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// findings is a database with findings and with somebody in the way.
func findings(t *testing.T) migrate.Review {
	t.Helper()
	url := dbtest.New(t)
	dbtest.Exec(t, url, foreign)
	conn := dbtest.Connect(t, url)
	for _, sql := range []string{"BEGIN", "LOCK TABLE tasks IN ROW EXCLUSIVE MODE"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return review(t, url)
}

// clean is a database with nothing to do.
func clean(t *testing.T) migrate.Review {
	t.Helper()
	url := dbtest.New(t)
	if _, err := migrate.Up(t.Context(), url, migrate.Defaults()); err != nil {
		t.Fatal(err)
	}
	return review(t, url)
}

func written(t *testing.T, write func(*bytes.Buffer) error) string {
	t.Helper()
	var text bytes.Buffer
	if err := write(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestAllFormsSayTheSame(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]migrate.Review{"findings": findings(t), "clean": clean(t)} {
		forms := map[string]string{
			"text":     written(t, func(w *bytes.Buffer) error { return page.Text(w, r) }),
			"Markdown": written(t, func(w *bytes.Buffer) error { return page.Markdown(w, r) }),
			"HTML":     written(t, func(w *bytes.Buffer) error { return page.HTML(w, r) }),
		}
		for form, text := range forms {
			want := []string{r.Verdict, "taskmigrate verify", "server_version"}
			if name == "findings" {
				want = append(want, "cannot be adopted", "about 1000", "taskmigrate adopt --yes", "in the way",
					"holds a lock on tasks", "what the back-fill will write", "anew",
					"sent again, a slice each time", "00004_guard_tasks.sql, in a transaction",
					"stops everybody", "stops writers", "lets others work", "ACCESS EXCLUSIVE on tasks", "block", "repair")
			}
			for _, words := range want {
				if !strings.Contains(strings.ToLower(text), strings.ToLower(words)) {
					t.Errorf("%s, %s: no %q", name, form, words)
				}
			}
		}
		if strings.Contains(forms["HTML"], "<b>odd") || strings.Contains(forms["Markdown"], "<b>odd") {
			t.Errorf("%s: a name from the database is markup", name)
		}
		if found := regexp.MustCompile(`(?i)(src|href)=|@import|url\(|<script`).FindString(forms["HTML"]); found != "" {
			t.Errorf("%s: the page loads something: %q", name, found)
		}
	}
}

func TestAnEmptyDatabaseIsReviewed(t *testing.T) {
	t.Parallel()
	r := review(t, dbtest.New(t))
	if !r.Sound || !strings.Contains(r.Verdict, "no table tasks yet") || len(r.Plan.Statements) == 0 {
		t.Errorf("%+v", r)
	}
}

// What up will put right is nobody's work by hand.
func TestAnAdoptedTableIsRepairedByUp(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	m, err := migrate.New(url, migrate.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, url, "DROP INDEX idx_status")
	r := review(t, url)
	if r.Sound || !strings.Contains(r.Verdict, "which taskmigrate up does") ||
		len(r.NextSteps) != 2 || r.NextSteps[0].Command != "taskmigrate up" {
		t.Errorf("%q, %+v", r.Verdict, r.NextSteps)
	}
}

var screenshots = os.Getenv("SCREENSHOTS") // the folder in which to leave pictures of the pages; empty: none

// A browser lays the page out. Nothing of it may lie to the right of the window.
func TestThePageFitsTheWindow(t *testing.T) {
	t.Parallel()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not on this machine: nobody has looked at the page")
	}
	for name, r := range map[string]migrate.Review{"findings": findings(t), "clean": clean(t)} {
		text := written(t, func(w *bytes.Buffer) error { return page.HTML(w, r) })
		for _, width := range []int{400, 1400} {
			look(t, browser, name, text, width)
		}
	}
}

// frame shows the page in a frame of a width, for a window cannot be narrower than 500 px. It puts what it
// measures into the window's title, where the dump of the page shows it.
const frame = `<!doctype html><body style="margin:0"><script>
const f = document.createElement("iframe");
f.style = "border:0; height:1600px; width:%dpx";
f.onload = () => {
    const inside = f.contentDocument;
    const ends = [...inside.querySelectorAll("body *")].map(e => e.getBoundingClientRect().right);
    document.title = ["measured", f.contentWindow.innerWidth, inside.documentElement.scrollWidth,
        Math.ceil(Math.max(...ends))].join(" ");
};
f.srcdoc = %s;
document.body.append(f);
</script>`

func look(t *testing.T, browser, name, text string, width int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	quoted, err := json.Marshal(text) // which also escapes < so that nothing ends the script
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, frame, width, quoted), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		"--user-data-dir=" + t.TempDir(), fmt.Sprintf("--window-size=%d,1600", width),
	}
	dump, err := exec.CommandContext(t.Context(), browser, append(flags, "--dump-dom", "file://"+file)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var inner, scroll, right int
	said := regexp.MustCompile(`<title>measured .*</title>`).Find(dump)
	if _, err := fmt.Sscanf(string(said), "<title>measured %d %d %d", &inner, &scroll, &right); err != nil {
		t.Fatalf("%s: the browser measured nothing: %v", name, err)
	}
	if inner != width || scroll > width || right > width {
		t.Errorf("%s at %d px: the window has %d, the page %d, the rightmost element ends at %d",
			name, width, inner, scroll, right)
	}
	if screenshots == "" {
		return
	}
	picture := filepath.Join(screenshots, fmt.Sprintf("report-%s-%d.png", name, width))
	flags = append(flags, "--screenshot="+picture, "file://"+file)
	if err := exec.CommandContext(t.Context(), browser, flags...).Run(); err != nil {
		t.Fatal(err)
	}
}
