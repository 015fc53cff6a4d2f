package schema

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasklane/tasks/internal/storetest"
)

// schema/citus.sql says what is missing, by name, before it changes anything.
func TestCitusFileSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	if storetest.One[bool](t, b.Pool, `SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')`) {
		t.Skip("this server has Citus")
	}
	_, err := b.Pool.Exec(t.Context(), storetest.File(t, "schema/citus.sql"))
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Message, "the extension citus is not installed") ||
		refusal.Hint == "" {
		t.Errorf("error is %v", err)
	}
}

// The names of Citus 13.0 that our files use. They ran there: a name that is not among these has to be tried there
// first.
var citusNames = []string{
	"citus.enable_unsafe_triggers",
	"citus.max_adaptive_executor_pool_size",
	"citus.multi_shard_modify_mode",
	"create_distributed_function",
	"create_distributed_table",
	"get_shard_id_for_distribution_column",
	"groupid FROM pg_dist_local_group",
	"pg_dist_partition WHERE logicalrelid",
	"shard_name",
}

var citusName = regexp.MustCompile(`\bcitus\.[a-z_]+|\bgroupid FROM pg_dist_\w+|\bpg_dist_\w+( WHERE \w+)?` +
	`|\bcreate_(distributed|reference)_\w+|\bget_shard_\w+|\bshard_name\b|\bcitus_\w+`)

func TestCitusFilesUseNamesThatCitusHas(t *testing.T) {
	t.Parallel()
	var names []string
	for _, file := range []string{"schema/citus.sql", "queries/citus.sql"} {
		code := regexp.MustCompile(`--.*`).ReplaceAllString(storetest.File(t, file), "")
		names = append(names, citusName.FindAllString(code, -1)...)
	}
	slices.Sort(names)
	if names = slices.Compact(names); !slices.Equal(names, citusNames) {
		t.Errorf("the files use\n%s\nand Citus has\n%s", strings.Join(names, "\n"), strings.Join(citusNames, "\n"))
	}
}
