package schema

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/storetest"
)

// columns describes the columns of the table tasks in a schema, in their order.
const columns = `
	SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod),
		CASE WHEN attnotnull THEN 'not null' ELSE 'null' END,
		'default ' || pg_get_expr(adbin, adrelid), nullif(attidentity::text, ''), nullif(attgenerated::text, ''))
	FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	WHERE attrelid = ($1 || '.tasks')::regclass AND attnum > 0 AND NOT attisdropped
	ORDER BY attnum`

// indexes describes its indexes: definition, which says whether it is unique, and validity.
const indexes = `
	SELECT concat_ws(' ', pg_get_indexdef(indexrelid), CASE WHEN indisprimary THEN 'primary' END,
		CASE WHEN indisvalid AND indisready AND indislive THEN 'valid' ELSE 'INVALID' END)
	FROM pg_index WHERE indrelid = ($1 || '.tasks')::regclass
	ORDER BY indexrelid::regclass::name`

// lines returns what a query of the catalog says of a schema's table, without the schema's name.
func lines(t *testing.T, db storetest.Querier, sql, schema string) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), sql, schema)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], schema+".", "")
	}
	return all
}

func TestTableIsTheDocuments(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	conn := b.Connection(t)
	for _, sql := range []string{
		`SET ROLE NONE`, `CREATE SCHEMA document`, `SET search_path = document`, document.DDL,
		`CREATE INDEX idx_task ON tasks (integration_id, client_id, template_id)`, // which the document lists
		`SET search_path = pg_catalog`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}

	got, want := lines(t, conn, columns, "public"), lines(t, conn, columns, "document")
	if len(want) != 10 || !slices.Equal(got, want) {
		t.Errorf("the columns are\n%s\nand not the document's\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// There may be further indexes. All are valid, and none is unique but the primary key.
	got, want = lines(t, conn, indexes, "public"), lines(t, conn, indexes, "document")
	if len(want) != 8 {
		t.Errorf("the document has %d indexes, want 8", len(want))
	}
	for _, index := range want {
		if !slices.Contains(got, index) {
			t.Errorf("of the document's indexes this one is missing:\n%s\nThere are\n%s", index, strings.Join(got, "\n"))
		}
	}
	for _, index := range got {
		unique := strings.HasPrefix(index, "CREATE UNIQUE")
		primary := strings.HasSuffix(index, "USING btree (id) primary valid")
		if unique != primary || !strings.HasSuffix(index, " valid") {
			t.Errorf("index %q is unique, not valid, or no primary key", index)
		}
		if strings.Contains(index, "updated_at") {
			t.Errorf("index %q makes every heartbeat rewrite all indexes", index)
		}
	}
}

// The one constraint that the document does not have refuses a status outside 0 to 3, and nothing else.
func TestConstraints(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	got := lines(t, b.Pool, `
		SELECT conname || ' ' || pg_get_constraintdef(oid) || CASE WHEN convalidated THEN '' ELSE ' NOT VALID' END
		FROM pg_constraint WHERE conrelid = ($1 || '.tasks')::regclass AND contype <> 'n' ORDER BY 1`, "public")
	want := []string{
		"tasks_pkey PRIMARY KEY (id)",
		"tasks_status_check CHECK (((status >= 0) AND (status <= 3)))",
	}
	if !slices.Equal(got, want) {
		t.Errorf("constraints are %q, want %q", got, want)
	}
}

// The comments become Go documentation, so each begins with the field's name.
func TestEveryColumnHasAComment(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	got := lines(t, b.Pool, `
		SELECT coalesce(col_description(attrelid, attnum), '')
		FROM pg_attribute WHERE attrelid = ($1 || '.tasks')::regclass AND attnum > 0 AND NOT attisdropped
		ORDER BY attnum`, "public")
	fields := []string{
		"ID", "IntegrationID", "UserID", "ClientID", "AccountID", "TemplateID", "Argument", "Status", "CreatedAt",
		"UpdatedAt",
	}
	for i, field := range fields {
		if !strings.HasPrefix(got[i], field+" ") || !strings.HasSuffix(got[i], ".") {
			t.Errorf("column %d has the comment %q, want a sentence on %s", i+1, got[i], field)
		}
	}
	table := storetest.One[*string](t, b.Pool, `SELECT obj_description('tasks'::regclass, 'pg_class')`)
	if table == nil || !strings.HasPrefix(*table, "Task ") {
		t.Error("the table has no comment on Task")
	}
}
