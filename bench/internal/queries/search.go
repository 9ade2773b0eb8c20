package queries

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/bench/internal/table"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// SearchOptions say how long to measure searches.
type SearchOptions struct {
	DSN    string // address of a server; if empty, Search starts a container
	Rows   int    // of each table
	Rounds int
	Block  time.Duration
	Limit  time.Duration // of one case; at least ten rounds are made
	Only   string        // measure only cases whose name holds this
}

// A SearchResult is one way to run the statements of one case. Times are of processors, the
// program's and its backend's: where the statement waits for nothing else, and the machine does
// nothing else, that is the time that it takes.
type SearchResult struct {
	Case, Goal, Name string
	Rounds           int
	Micros           float64    // per statement, the median
	Middle           [2]float64 // between which half of the blocks are
	Base             Ratio      // to the case's first way
}

// SearchOutcome is what Search measured, and on which server.
type SearchOutcome struct {
	Server  string
	Results []SearchResult
}

// Search measures searches by order beside those of a plain twin that has the index a user would
// have.
func Search(ctx context.Context, o SearchOptions, progress func(float64)) (out *SearchOutcome, err error) {
	ballast := make([]byte, 64<<20) // as in Run
	defer runtime.KeepAlive(ballast)
	dsn, stop, err := openServer(ctx, o.DSN)
	if err != nil {
		return nil, err
	}
	defer stop()
	dir, remove, err := tempDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	cfg, err := config(dsn, false)
	if err != nil {
		return nil, err
	}
	s := &searches{o: o, cfg: cfg, dir: dir}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	if err := s.fill(ctx); err != nil {
		return nil, err
	}
	out = &SearchOutcome{}
	if out.Server, err = (&fixture{server: cfg}).describe(ctx); err != nil {
		return nil, err
	}
	cases := slices.DeleteFunc(s.cases(), func(c searchCase) bool { return !strings.Contains(c.name, o.Only) })
	for i, c := range cases {
		results, err := s.measure(ctx, c, func(part float64) { progress((float64(i) + part) / float64(len(cases))) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		out.Results = append(out.Results, results...)
	}
	return out, nil
}

// The tables. The plain ones have the same rows and indexes.
const (
	plainPeople   = "people_plain"
	sealedPeople  = "people_sealed"
	plainVisits   = "visits_plain"
	equalVisits   = "visits_deterministic"
	orderedVisits = "visits_ordered"
	boundedVisits = "visits_bounded"
	byteVisits    = "visits_bytes"
	plainNames    = "names_plain"
	trigramNames  = "names_trigrams"
	sealedNames   = "names_sealed"
	shortNames    = "names_short" // whose terms are beginnings of three and four characters only

	buckets = 20 // groups of people, each of which is sorted
)

var searchSchema = []schema.Source{
	schema.Columns(sealedPeople,
		schema.Column{Name: "seen", Mode: schema.ModeOrdered, Kind: schema.KindTime},
		schema.Column{Name: "born", Mode: schema.ModeOrdered, Kind: schema.KindDate, Min: "1900-01-01", Max: "2069-12-31"}),
	schema.Columns(equalVisits, schema.Column{Name: "seen", Mode: schema.ModeDeterministic, Kind: schema.KindTime}),
	schema.Columns(orderedVisits, schema.Column{Name: "seen", Mode: schema.ModeOrdered, Kind: schema.KindTime}),
	schema.Columns(boundedVisits, schema.Column{Name: "seen", Mode: schema.ModeOrdered, Kind: schema.KindTime,
		Min: "2020-01-01T00:00:00Z", Max: "2039-12-31T23:59:59Z", Step: "1s"}),
	nineTerms, twoTerms,
}

// A name that is long enough has nine terms: itself, and its beginnings of three to ten characters.
var (
	nineTerms = schema.Columns(sealedNames, schema.Column{Name: "name", Terms: codec.Terms{Equal: true, Prefix: codec.Lengths{Min: 3, Max: 10}}})
	twoTerms  = schema.Columns(shortNames, schema.Column{Name: "name", Terms: codec.Terms{Prefix: codec.Lengths{Min: 3, Max: 4}}})
)

// searches are the tables, and the pools on them.
type searches struct {
	o      SearchOptions
	cfg    *pgx.ConnConfig
	dir    string
	pools  []*sql.DB
	seen   []time.Time // of the people, ascending
	ids    []int64     // of the people, in the order of seen
	nextID int64
	failed error // of a timed loop, the first

	monitor  *sql.DB // reads how long backends kept processors busy
	backends []int   // of the ways of the case: their process ids
}

// open opens a pool of one connection, through Colseal if sealed is set.
func (s *searches) open(sealed bool) (sqlPool, error) {
	var sealing *driver.Config
	if sealed {
		tables, err := schema.New(searchSchema...)
		if err != nil {
			return sqlPool{}, err
		}
		w, err := localkms.Open(filepath.Join(s.dir, "kek"))
		if err != nil {
			return sqlPool{}, err
		}
		sealing = &driver.Config{Schema: tables, KMS: w, AutoCreateKeyTable: true}
	}
	p, err := openSQL(s.cfg, 1, sealing)
	if err != nil {
		return sqlPool{}, err
	}
	s.pools = append(s.pools, p.(sqlPool).db)
	return p.(sqlPool), nil
}

func (s *searches) close(ctx context.Context) error {
	var errs []error
	for _, db := range s.pools {
		errs = append(errs, db.Close())
	}
	db := stdlib.OpenDB(*s.cfg)
	_, err := db.ExecContext(ctx, "DROP SCHEMA IF EXISTS "+schemaName+" CASCADE")
	return errors.Join(append(errs, err, db.Close())...)
}

// fill makes the tables.
func (s *searches) fill(ctx context.Context) error {
	plain, err := s.open(false)
	if err != nil {
		return err
	}
	sealed, err := s.open(true)
	if err != nil {
		return err
	}
	run := func(statements ...string) error {
		for _, text := range statements {
			if err := plain.exec(ctx, text); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
		return nil
	}
	statements := []string{"DROP SCHEMA IF EXISTS " + schemaName + " CASCADE", "CREATE SCHEMA " + schemaName,
		"CREATE TABLE " + plainPeople + " (id bigint PRIMARY KEY, bucket int, seen timestamptz, born date)",
		"CREATE TABLE " + sealedPeople + " (id bigint PRIMARY KEY, bucket int, seen bytea, born bytea)",
		"CREATE TABLE " + plainVisits + " (id bigint PRIMARY KEY, seen timestamptz)",
		"CREATE TABLE " + equalVisits + " (id bigint PRIMARY KEY, seen bytea)",
		"CREATE TABLE " + orderedVisits + " (id bigint PRIMARY KEY, seen bytea)",
		"CREATE TABLE " + boundedVisits + " (id bigint PRIMARY KEY, seen bytea)",
		"CREATE TABLE " + byteVisits + " (id bigint PRIMARY KEY, seen bytea)",
		"CREATE TABLE " + plainNames + " (id bigint PRIMARY KEY, name text)",
		"CREATE TABLE " + trigramNames + " (id bigint PRIMARY KEY, name text)",
		"CREATE TABLE " + sealedNames + " (id bigint PRIMARY KEY, name bytea)",
		"CREATE TABLE " + shortNames + " (id bigint PRIMARY KEY, name bytea)",
		"CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public"}
	// Rows are inserted into indexes that grew row by row. One that CREATE INDEX made has full pages,
	// nearly all of which the next rows split.
	for _, t := range []string{plainVisits, equalVisits, orderedVisits, boundedVisits, byteVisits} {
		statements = append(statements, "CREATE INDEX ON "+t+" (seen)")
	}
	if err := run(statements...); err != nil {
		return err
	}
	const batch = 500
	s.monitor = plain.db
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // measurements
	s.nextID = int64(s.o.Rows)
	for first := 0; first < s.o.Rows; first += batch {
		var people, visits, bytes, names []any
		for i := range min(batch, s.o.Rows-first) {
			id, seen := int64(first+i), moment(random)
			s.seen, s.ids = append(s.seen, seen), append(s.ids, id)
			people = append(people, id, random.IntN(buckets), seen, birthday(random))
			visits = append(visits, id, seen.Truncate(time.Second))
			bytes = append(bytes, id, cellLike(random))
			names = append(names, id, nameOf(random))
		}
		for _, f := range []struct {
			pool    sqlPool
			table   string
			columns []string
			args    []any
		}{
			{plain, plainPeople, peopleColumns, people}, {sealed, sealedPeople, peopleColumns, people},
			{plain, plainVisits, visitColumns, visits}, {sealed, equalVisits, visitColumns, visits}, {sealed, orderedVisits, visitColumns, visits},
			{sealed, boundedVisits, visitColumns, visits}, {plain, byteVisits, visitColumns, bytes},
			{plain, plainNames, nameColumns, names}, {plain, trigramNames, nameColumns, names}, {sealed, sealedNames, nameColumns, names},
			{sealed, shortNames, nameColumns, names},
		} {
			if err := f.pool.exec(ctx, insertion(f.table, f.columns, len(f.args)/len(f.columns)), f.args...); err != nil {
				return fmt.Errorf("filling %s: %w", f.table, err)
			}
		}
	}
	order := make([]int, len(s.ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return s.seen[i].Compare(s.seen[j]) })
	seen, ids := make([]time.Time, len(order)), make([]int64, len(order))
	for to, from := range order {
		seen[to], ids[to] = s.seen[from], s.ids[from]
	}
	s.seen, s.ids = seen, ids
	statements = nil
	for _, t := range []string{plainPeople, sealedPeople} {
		statements = append(statements, "CREATE INDEX ON "+t+" (seen, id)", "CREATE INDEX ON "+t+" (born)", "CREATE INDEX ON "+t+" (bucket)")
	}
	for _, c := range []string{"seen", "born"} { // as colseal ddl prints it
		statements = append(statements, "ALTER TABLE "+sealedPeople+" ALTER COLUMN "+c+" SET STATISTICS "+strconv.Itoa(ddl.Statistics))
	}
	terms, err := schema.New(nineTerms, twoTerms)
	if err != nil {
		return err
	}
	prepare, err := ddl.Write(terms, ddl.Options{})
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, s.cfg)
	if err != nil {
		return err
	}
	_, err = conn.PgConn().Exec(ctx, prepare).ReadAll() // several statements
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("preparing the names: %w", err)
	}
	statements = append(statements, "CREATE INDEX ON "+plainNames+" (name text_pattern_ops)", "CREATE INDEX "+trigramIndex+" ON "+trigramNames+" USING gin (name public.gin_trgm_ops)")
	for _, t := range []string{plainPeople, sealedPeople, plainNames, trigramNames, sealedNames, shortNames} {
		statements = append(statements, "VACUUM ANALYZE "+t)
	}
	return run(statements...)
}

var (
	peopleColumns = []string{"id", "bucket", "seen", "born"}
	visitColumns  = []string{"id", "seen"}
	nameColumns   = []string{"id", "name"}
)

// The indexes over beginnings. What an INSERT leaves in their pending lists is part of what it
// costs.
const (
	trigramIndex = "names_trigrams_idx"
	termsIndex   = "colseal_names_sealed_name_terms"
)

// cellLike draws as many bytes as an ordered cell of 64 bits has, the first eight of which are
// those of all.
func cellLike(random *rand.Rand) []byte {
	b := make([]byte, 97)
	for i := range b[8:] {
		b[8+i] = byte(random.Uint32())
	}
	return b
}

// nameOf draws a name of twelve letters; about twenty of 200,000 begin with the same four.
func nameOf(random *rand.Rand) string {
	const consonants, vowels = "bcdfghjklmnpqrstvwxz", "aeiou"
	b := make([]byte, 12)
	for i := range b {
		letters := []string{consonants, vowels}[i%2]
		b[i] = letters[random.IntN(len(letters))]
	}
	return string(b)
}

// moment draws one of five years.
func moment(random *rand.Rand) time.Time {
	return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(random.Int64N(5*365*24*3600*1e6)) * time.Microsecond)
}

// birthday draws a day of seventy years.
func birthday(random *rand.Rand) time.Time {
	return time.Date(1940, 1, 1+random.IntN(70*365), 0, 0, 0, 0, time.UTC)
}

func insertion(table string, columns []string, rows int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", table, strings.Join(columns, ", "))
	n := 0
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		for c := range columns {
			n++
			b.WriteString([]string{"(", ", "}[min(c, 1)])
			fmt.Fprintf(&b, "$%d", n)
		}
		b.WriteByte(')')
	}
	return b.String()
}

// A searchCase is one kind of statement; the first of its ways is what the others are compared
// with.
type searchCase struct {
	name, goal string
	ways       []searchWay
}

// A searchWay is one way to do what a case does.
type searchWay struct {
	name   string
	sealed bool
	text   string
	args   func() []any
	rows   int    // that are read; anyRows: at least one; 0: it writes
	clean  string // the index whose pending list is emptied after the statement
	set    string // what its connection is told first
}

const (
	rangeRows = 100
	pageRows  = 20
	batchRows = 100
	anyRows   = -1
)

func (s *searches) cases() []searchCase {
	twins := func(name string, rows int, args func() []any, text string) searchCase {
		way := func(name, table string, sealed bool) searchWay {
			return searchWay{name: name, sealed: sealed, text: fmt.Sprintf(text, table), args: args, rows: rows}
		}
		return searchCase{name, "≤ 1.5", []searchWay{way("plain", plainPeople, false), way("plain, again (A/A)", plainPeople, false), way("ordered", sealedPeople, true)}}
	}
	bounds := func() []any {
		i := rand.IntN(len(s.seen) - rangeRows) //nolint:gosec // measurements
		return []any{s.seen[i], s.seen[i+rangeRows]}
	}
	cursor := func() []any {
		i := rand.IntN(len(s.seen) - pageRows - 1) //nolint:gosec // measurements
		return []any{s.seen[i], s.ids[i]}
	}
	week := func() []any {
		day := birthday(rand.New(rand.NewPCG(rand.Uint64(), 0))) //nolint:gosec // measurements
		return []any{day, day.AddDate(0, 0, 7)}
	}
	bucket := func() []any { return []any{rand.IntN(buckets)} } //nolint:gosec // measurements
	drawing := func(value func(*rand.Rand) any) func() []any {
		return func() (args []any) {
			random := rand.New(rand.NewPCG(rand.Uint64(), 0)) //nolint:gosec // measurements
			for range batchRows {
				args = append(args, s.nextID, value(random))
				s.nextID++
			}
			return args
		}
	}
	visit := drawing(func(random *rand.Rand) any { return moment(random).Truncate(time.Second) })
	bytes := drawing(func(random *rand.Rand) any { return cellLike(random) })
	name := drawing(func(random *rand.Rand) any { return nameOf(random) })
	inserting := func(name, table string, sealed bool, args func() []any) searchWay {
		return searchWay{name: name, sealed: sealed, text: insertion(table, visitColumns, batchRows), args: args}
	}
	naming := func(way, table string, sealed bool, index string) searchWay {
		return searchWay{name: way, sealed: sealed, text: insertion(table, nameColumns, batchRows), args: name, clean: index}
	}
	like := func(name string, letters int) searchCase {
		beginning := func() []any {
			return []any{nameOf(rand.New(rand.NewPCG(rand.Uint64(), 0)))[:letters] + "%"} //nolint:gosec // measurements
		}
		way := func(name, table string, sealed bool) searchWay {
			return searchWay{name: name, sealed: sealed, text: "SELECT id FROM " + table + " WHERE name LIKE $1", args: beginning, rows: anyRows}
		}
		bitmap := way("plain, by a bitmap scan", plainNames, false)
		bitmap.set = "SET enable_indexscan = off"
		return searchCase{name, "≤ 1.2", []searchWay{
			way("plain, text_pattern_ops", plainNames, false), way("plain, again (A/A)", plainNames, false), bitmap,
			way("prefix, two terms", shortNames, true), way("prefix, nine terms", sealedNames, true)}}
	}
	return []searchCase{
		twins("range of 100 rows, ids", rangeRows, bounds, "SELECT id FROM %s WHERE seen >= $1 AND seen < $2"),
		twins("range of 100 rows, with the values", rangeRows, bounds, "SELECT id, seen FROM %s WHERE seen >= $1 AND seen < $2"),
		twins("range of a week, bounded to 16 bits, ids", anyRows, week, "SELECT id FROM %s WHERE born >= $1 AND born < $2"),
		twins("range of a week, bounded to 16 bits, by BETWEEN, ids", anyRows, week, "SELECT id FROM %s WHERE born BETWEEN $1 AND $2"),
		twins("keyset page of 20 rows, with the values", pageRows, cursor, "SELECT id, seen FROM %s WHERE (seen, id) > ($1, $2) ORDER BY seen, id LIMIT 20"),
		twins("sort of all rows, ids", s.o.Rows, func() []any { return nil }, "SELECT id FROM %s WHERE seen >= '-infinity' ORDER BY seen"),
		twins("sort of a twentieth of the rows, ids", anyRows, bucket, "SELECT id FROM %s WHERE bucket = $1 AND seen >= '-infinity' ORDER BY seen"),
		{"INSERT of 100 rows, with an index", "≤ 1.3", []searchWay{
			inserting("deterministic", equalVisits, true, visit), inserting("deterministic, again (A/A)", equalVisits, true, visit),
			inserting("ordered, 64 bits", orderedVisits, true, visit), inserting("ordered, 30 bits", boundedVisits, true, visit),
			inserting("plain", plainVisits, false, visit), inserting("97 random bytes, plain", byteVisits, false, bytes)}},
		like("LIKE of three letters, about 100 rows, ids", 3), like("LIKE of four letters, about 20 rows, ids", 4),
		{"INSERT of 100 rows, with a GIN index", "≤ 2.2", []searchWay{
			naming("trigrams", trigramNames, false, trigramIndex), naming("trigrams, again (A/A)", trigramNames, false, trigramIndex),
			naming("nine terms", sealedNames, true, termsIndex)}},
	}
}

// measure times the ways of a case against each other, after it saw that they read the same rows.
func (s *searches) measure(ctx context.Context, c searchCase, progress func(float64)) ([]SearchResult, error) {
	subjects := make([]subject, len(c.ways))
	s.backends = make([]int, len(c.ways))
	sample := c.ways[0].args()
	var want []int64
	for i, w := range c.ways {
		pool, err := s.open(w.sealed)
		if err != nil {
			return nil, err
		}
		if w.rows != 0 {
			got, err := w.ids(ctx, pool.db, sample)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			if i == 0 {
				want = got
			}
			if len(got) == 0 || !slices.Equal(got, want) {
				return nil, fmt.Errorf("%s: reads %d rows, others than the %d of the first way", w.name, len(got), len(want))
			}
		}
		subjects[i].run = func(n int) {
			for range n {
				s.note(w.once(ctx, pool.db))
			}
		}
		subjects[i].renew = func() {
			pool.renew(1)
			if w.set != "" {
				s.note(pool.exec(ctx, w.set))
			}
			s.note(pool.db.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&s.backends[i]))
			subjects[i].run(warmUp)
		}
		subjects[i].renew()
	}
	blocks := 0.0
	times := interleave(subjects, s.o.Rounds, s.o.Block, s.o.Limit, func() time.Duration { return s.processors(ctx) }, func() {
		blocks++
		progress(blocks / float64(s.o.Rounds*len(subjects)))
	})
	if s.failed != nil {
		return nil, s.failed
	}
	var out []SearchResult
	for i, w := range c.ways {
		ns, rounds := median(times[i])
		sorted := slices.DeleteFunc(slices.Clone(times[i]), math.IsNaN)
		slices.Sort(sorted)
		out = append(out, SearchResult{c.name, c.goal, w.name, rounds, ns / 1e3,
			[2]float64{quantile(sorted, 0.25) / 1e3, quantile(sorted, 0.75) / 1e3}, paired(times[i], times[0])})
	}
	return out, nil
}

func (s *searches) note(err error) {
	if err != nil && s.failed == nil {
		s.failed = err
	}
}

// processors is how long the program and the backends of the case have kept processors busy.
func (s *searches) processors(ctx context.Context) time.Duration {
	busy := processTime()
	rows, err := s.monitor.QueryContext(ctx, "SELECT split_part(pg_read_file('/proc/' || pid || '/schedstat'), ' ', 1)::bigint FROM unnest($1::int[]) pid", s.backends)
	if err != nil {
		s.note(err)
		return busy
	}
	defer func() { _ = rows.Close() }() // rows.Err says what went wrong
	for rows.Next() {
		var ns int64
		s.note(rows.Scan(&ns))
		busy += time.Duration(ns)
	}
	s.note(rows.Err())
	return busy
}

// once does it once.
func (w *searchWay) once(ctx context.Context, db *sql.DB) error {
	if w.rows == 0 {
		_, err := db.ExecContext(ctx, w.text, w.args()...)
		if err == nil && w.clean != "" {
			_, err = db.ExecContext(ctx, "SELECT pg_catalog.gin_clean_pending_list('"+w.clean+"')")
		}
		return err
	}
	n := 0
	err := w.read(ctx, db, w.args(), func(int64) { n++ })
	if err == nil && n != w.rows && w.rows != anyRows {
		return fmt.Errorf("%d rows instead of %d", n, w.rows)
	}
	return err
}

// ids returns the ids of the rows, in their order if the statement gives one.
func (w *searchWay) ids(ctx context.Context, db *sql.DB, args []any) (ids []int64, err error) {
	err = w.read(ctx, db, args, func(id int64) { ids = append(ids, id) })
	if !strings.Contains(w.text, "ORDER BY") {
		slices.Sort(ids)
	}
	return ids, err
}

// read reads rows of an id and perhaps a time.
func (w *searchWay) read(ctx context.Context, db *sql.DB, args []any, each func(id int64)) error {
	rows, err := db.QueryContext(ctx, w.text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what went wrong
	var id int64
	var seen time.Time
	to := []any{&id, &seen}
	if !strings.HasPrefix(w.text, "SELECT id, seen") {
		to = to[:1]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		each(id)
	}
	return rows.Err()
}

// Tables returns a table for each case.
func (o *SearchOutcome) Tables() []table.Table {
	var tables []table.Table
	for i, r := range o.Results {
		if i == 0 || r.Case != o.Results[i-1].Case {
			tables = append(tables, table.Table{Title: fmt.Sprintf("%s, %d rounds; goal %s", r.Case, r.Rounds, r.Goal),
				Columns: []string{"way", "µs", "half of the blocks", "÷ " + r.Name}})
		}
		tables[len(tables)-1].Add(r.Name, fmt.Sprintf("%.1f", r.Micros), fmt.Sprintf("%.1f–%.1f", r.Middle[0], r.Middle[1]), r.Base)
	}
	return tables
}
