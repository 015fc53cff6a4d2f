package migrate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/tasklane/tasks/internal/connect"
	"github.com/tasklane/tasks/schema"
)

// source is one migration file of this binary.
type source struct {
	version int64
	name    string
	sha256  string // of the whole file, in hexadecimal
	check   string // a block that fails unless all of the file's work is there; empty: it has none
}

// checkBlock is how a file that builds indexes proves at its end what came of it. Run before the file, the
// block tells whether there is anything to do.
var checkBlock = regexp.MustCompile(`(?s)DO \$\$ -- lock: ACCESS SHARE on the catalog\n.*?\nEND \$\$;`)

// isThere tells whether all that the file builds is there. To describe an index the server takes ACCESS SHARE
// on its table: where somebody holds ACCESS EXCLUSIVE the answer is no, and the file waits with a limit.
func isThere(ctx context.Context, conn *pgx.Conn, s source) (bool, error) {
	if s.check == "" {
		return false, nil
	}
	_, err := conn.Exec(ctx, "SET LOCAL lock_timeout = '100ms'; "+s.check)
	switch connect.SQLState(err) {
	case "55000", "42P01", lockNotAvailable: // something is missing, the whole table is, or it cannot be seen
		return false, nil
	}
	return err == nil, err
}

// sources lists the migrations in fsys in rising order.
func sources(fsys fs.FS) ([]source, error) {
	names, err := fs.Glob(fsys, "*.sql")
	if err != nil {
		return nil, err
	}
	var list []source
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		list = append(list, source{
			version: version, name: name, sha256: hex.EncodeToString(sum[:]),
			check: checkBlock.FindString(string(text)),
		})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no migrations: %w", fs.ErrNotExist)
	}
	slices.SortFunc(list, func(a, b source) int { return cmp.Compare(a.version, b.version) })
	return list, nil
}

// Known lists this binary's migrations in rising order, without asking a database.
func Known() ([]Migration, error) {
	list, err := sources(schema.FS)
	if err != nil {
		return nil, err
	}
	return states(list, nil), nil
}
