package wiretap

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// chunk is how much of a file is read at a time, in bytes.
const chunk = 8 << 20

// searchLog reads the files of the logging collector, until the control planted last has come
// through.
func searchLog(ctx context.Context, conn *sql.Conn, s *search, c controls) error {
	var dir string
	if err := conn.QueryRowContext(ctx, "SELECT current_setting('log_directory')").Scan(&dir); err != nil {
		return err
	}
	files, err := list(ctx, conn, "SELECT name FROM pg_ls_logdir() ORDER BY name")
	if err != nil {
		return err
	}
	streams, offsets := map[string]*stream{}, map[string]int64{}
	tick := time.NewTicker(20 * time.Millisecond) // the collector writes a moment later
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		for _, name := range files {
			if streams[name] == nil {
				streams[name] = s.open(Log, name)
			}
			n, err := readFile(ctx, conn, path.Join(dir, name), offsets[name], streams[name])
			if err != nil {
				return err
			}
			offsets[name] += n
		}
		if s.seen(c.log.name, Log) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("%w: the control never came into the log", ErrDeaf)
		case <-tick.C:
		}
	}
}

// tables are those of every schema that this session can read. What the catalog keeps of their
// contents (statistics, defaults, the text of running statements) is of interest too.
const tables = `
	SELECT format('%I.%I', n.nspname, c.relname), n.nspname = 'pg_catalog' OR n.nspname = 'information_schema'
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND (c.relkind = 'r' OR c.relispopulated)
	UNION ALL VALUES ('pg_catalog.pg_stat_activity', true)
	ORDER BY 1`

// searchTables dumps every table as text, and those that are not the catalog's in binary as well
// (some types of the catalog have no binary form).
func searchTables(ctx context.Context, conn *sql.Conn, s *search, _ controls) error {
	rows, err := conn.QueryContext(ctx, tables)
	if err != nil {
		return err
	}
	defer rows.Close()
	type copying struct{ table, statement string }
	var todo []copying
	for rows.Next() {
		var table string
		var catalog bool
		if err := rows.Scan(&table, &catalog); err != nil {
			return err
		}
		todo = append(todo, copying{table, "COPY (SELECT * FROM " + table + ") TO STDOUT"})
		if !catalog {
			todo = append(todo, copying{table + " (binary)", "COPY (SELECT * FROM " + table + ") TO STDOUT (FORMAT binary)"})
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return raw(conn, func(pg *pgx.Conn) error {
		for _, c := range todo {
			if _, err := pg.PgConn().CopyTo(ctx, s.open(Table, c.table), c.statement); err != nil {
				return fmt.Errorf("dumping %s: %w", c.table, err)
			}
		}
		return nil
	})
}

// dataFiles are all files under the data directory, tablespaces included.
const dataFiles = `
	WITH RECURSIVE files(path, isdir) AS (
		SELECT name, (pg_stat_file(name, true)).isdir FROM pg_ls_dir('.') name
		UNION ALL
		SELECT f.path || '/' || name, (pg_stat_file(f.path || '/' || name, true)).isdir
		FROM files f, pg_ls_dir(f.path, true, false) name
		WHERE f.isdir
	)
	SELECT path FROM files WHERE NOT isdir ORDER BY path`

// searchData has everything written out and reads all files but the log's.
func searchData(ctx context.Context, conn *sql.Conn, s *search, _ controls) error {
	if _, err := conn.ExecContext(ctx, "CHECKPOINT"); err != nil {
		return err
	}
	var logDir string
	if err := conn.QueryRowContext(ctx, "SELECT current_setting('log_directory')").Scan(&logDir); err != nil {
		return err
	}
	files, err := list(ctx, conn, dataFiles)
	if err != nil {
		return err
	}
	wal := false
	for _, name := range files {
		if strings.HasPrefix(name, strings.TrimSuffix(logDir, "/")+"/") {
			continue
		}
		wal = wal || strings.HasPrefix(name, "pg_wal/")
		if _, err := readFile(ctx, conn, name, 0, s.open(Data, name)); err != nil {
			return err
		}
	}
	if !wal {
		return fmt.Errorf("%w: no write-ahead log among the data files", ErrDeaf)
	}
	return nil
}

// readFile copies a file of the server from offset to its end into w, and returns how much that
// was. A file that is gone meanwhile is empty.
func readFile(ctx context.Context, conn *sql.Conn, name string, offset int64, w io.Writer) (int64, error) {
	var total int64
	for {
		var b []byte
		err := conn.QueryRowContext(ctx, "SELECT pg_read_binary_file($1, $2, $3, true)", name, offset+total, int64(chunk)).Scan(&b)
		if err != nil {
			return total, fmt.Errorf("reading the server's file %s: %w", name, err)
		}
		if len(b) == 0 {
			return total, nil
		}
		if _, err := w.Write(b); err != nil {
			return total, err
		}
		total += int64(len(b))
	}
}

// list returns a query's one column of text.
func list(ctx context.Context, conn *sql.Conn, query string) ([]string, error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func raw(conn *sql.Conn, f func(*pgx.Conn) error) error {
	return conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the pool is not over plain pgx but %T", driverConn)
		}
		return f(c.Conn())
	})
}
