package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/pgserver"
	"github.com/tasklane/tasks/taskstore"
)

// citusURL names the coordinator of a Citus cluster, on whose nodes the tests make databases: see `make test-citus`.
var citusURL = os.Getenv("TASKSTORE_TEST_CITUS_URL")

// OnCitus reports whether the tests run on a Citus cluster.
func OnCitus() bool { return citusURL != "" }

// NotOnCitus skips a test that cannot run on a Citus cluster, and says why.
func NotOnCitus(t *testing.T, why string) {
	t.Helper()
	if OnCitus() {
		t.Skip("not on Citus: " + why)
	}
}

// citusTemplate is the database that tests copy on each node: Citus keeps in the database what it knows of its nodes
// and shards, so that a copy on every node is a cluster of its own. It stays on the cluster until the next test binary.
const citusTemplate = "taskstore_citus_template"

// citusShards is how many shards a table of the tests has. With one, a claim takes the oldest task of all, as tests
// expect that are for any table. With many, each copy of the template takes longer.
var citusShards = cmp.Or(os.Getenv("TASKSTORE_TEST_CITUS_SHARDS"), "1")

// cluster is the nodes of citusURL's cluster, the coordinator first, with a distributed table to copy.
var cluster = sync.OnceValues(func() ([]*pgserver.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	nodes, err := citusNodes(ctx)
	if err != nil {
		return nil, err
	}
	if err := createOnCitus(ctx, nodes, citusTemplate); err != nil {
		return nil, err
	}
	coordinator := databaseOn(nodes[0], citusTemplate)
	if _, err := migrate.Up(ctx, coordinator, migrate.Defaults()); err != nil {
		return nil, err
	}
	script, err := os.ReadFile("../../../schema/citus.sql")
	if err != nil {
		return nil, err
	}
	if err := execOn(ctx, coordinator, "SET citus.shard_count TO "+citusShards+"; "+string(script)); err != nil {
		return nil, err
	}
	for _, node := range nodes { // Citus's own workers are connected to it
		for _, sql := range []string{
			"ALTER DATABASE " + citusTemplate + " ALLOW_CONNECTIONS false",
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + citusTemplate + "'",
		} {
			if err := execOn(ctx, node.URL, sql); err != nil {
				return nil, err
			}
		}
	}
	return nodes, nil
})

// citusNodes asks the coordinator for the nodes. They have its user and password.
func citusNodes(ctx context.Context) ([]*pgserver.Server, error) {
	coordinator, err := url.Parse(citusURL)
	if err != nil {
		return nil, fmt.Errorf("TASKSTORE_TEST_CITUS_URL is no URL") //nolint:err113 // the cause would quote the password
	}
	conn, err := pgx.Connect(ctx, citusURL)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx,
		"SELECT nodename, nodeport FROM pg_dist_node WHERE groupid <> 0 AND noderole = 'primary' ORDER BY nodeid")
	if err != nil {
		return nil, err
	}
	nodes := []*pgserver.Server{{URL: citusURL}}
	var host string
	var port int
	_, err = pgx.ForEachRow(rows, []any{&host, &port}, func() error {
		u := *coordinator
		u.Host = net.JoinHostPort(host, strconv.Itoa(port))
		nodes = append(nodes, &pgserver.Server{URL: u.String()})
		return nil
	})
	return nodes, err
}

// createOnCitus makes a database on each node, and a cluster of them, without tables.
func createOnCitus(ctx context.Context, nodes []*pgserver.Server, name string) error {
	for _, node := range nodes {
		for _, sql := range []string{"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "CREATE DATABASE " + name} {
			if err := execOn(ctx, node.URL, sql); err != nil {
				return err
			}
		}
		if err := execOn(ctx, databaseOn(node, name), "CREATE EXTENSION citus"); err != nil {
			return err
		}
	}
	for i, node := range nodes {
		add := []string{"SELECT citus_set_coordinator_host('%s', %s)", "SELECT citus_add_node('%s', %s)"}[min(i, 1)]
		u, err := url.Parse(node.URL)
		if err != nil {
			return err
		}
		if err := execOn(ctx, databaseOn(nodes[0], name), fmt.Sprintf(add, u.Hostname(), u.Port())); err != nil {
			return err
		}
	}
	return nil
}

func databaseOn(node *pgserver.Server, name string) string {
	u, _ := node.DatabaseURL(name) // the node has a URL of citusNodes
	return u
}

func execOn(ctx context.Context, address, sql string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("%.60s: %w", sql, err)
	}
	return nil
}

// NewStore is taskstore.New for the table that the tests run on.
func NewStore(db taskstore.DB, opts ...taskstore.Option) *taskstore.Store {
	if OnCitus() {
		opts = append(opts, taskstore.WithCitus())
	}
	return taskstore.New(db, opts...)
}

// setupCitus is Setup on the cluster.
func setupCitus(t *testing.T) *Bundle {
	t.Helper()
	nodes, err := cluster()
	if err != nil {
		t.Fatal("TASKSTORE_TEST_CITUS_URL: ", err)
	}
	return citusBundle(t, nodes, func(name string) error {
		var made sync.WaitGroup
		errs := make([]error, len(nodes))
		for i, node := range nodes {
			made.Go(func() { errs[i] = execOn(t.Context(), node.URL, "CREATE DATABASE "+name+" TEMPLATE "+citusTemplate) })
		}
		made.Wait()
		return errors.Join(errs...)
	})
}

// BareCitus is a database of the cluster in which nothing is migrated or distributed yet.
func BareCitus(t *testing.T) *Bundle {
	t.Helper()
	nodes, err := citusNodes(t.Context())
	if err != nil {
		t.Fatal("TASKSTORE_TEST_CITUS_URL: ", err)
	}
	return citusBundle(t, nodes, func(name string) error { return createOnCitus(t.Context(), nodes, name) })
}

// citusBundle is over a database that create makes on the nodes.
func citusBundle(t *testing.T, nodes []*pgserver.Server, create func(name string) error) *Bundle {
	t.Helper()
	name := fmt.Sprintf("taskstore_citus_%d", time.Now().UnixNano())
	t.Cleanup(func() {
		ctx := context.Background()
		errs := []error{execOn(ctx, databaseOn(nodes[0], name), "SELECT recover_prepared_transactions()")}
		for _, node := range nodes { // Citus's own workers would connect again
			errs = append(errs, execOn(ctx, node.URL, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false"),
				execOn(ctx, node.URL, "DROP DATABASE "+name+" WITH (FORCE)"))
		}
		if err := errors.Join(errs...); err != nil {
			t.Log(err)
		}
	})
	if err := create(name); err != nil {
		t.Fatal(err)
	}
	address := databaseOn(nodes[0], name)
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	// What schema/citus.sql sets for the service's roles, and what lets a test's own triggers be made.
	address += separator +
		"options=-c%20citus.max_adaptive_executor_pool_size%3D1%20-c%20citus.enable_unsafe_triggers%3Don"
	b := &Bundle{URL: address}
	b.Pool = b.Connect(t, func(c *pgxpool.Config) { c.MaxConns = 8 })
	b.Admin, b.Store = b.Pool, taskstore.New(b.Pool, taskstore.WithCitus())
	return b
}
