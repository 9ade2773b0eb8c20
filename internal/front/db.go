// Package front is what the fronts of Colseal share: the database/sql driver and native pgx. A
// front plans each statement over its [Session], seals the statement's values with a [Sealing],
// sends it, and opens the cells of the result with [Opener]s. The package neither sends a statement
// of the program nor knows how one arrived.
package front

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	sqldriver "database/sql/driver"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

// Config is what a front gives a [DB]. The driver's Config documents the fields that it hands on.
type Config struct {
	Schema             *schema.Schema
	Dialect            dialect.Dialect
	Plans              sqlplan.Options
	CatalogMaxAge      time.Duration // 0: DefaultCatalogMaxAge; negative: what was read once holds
	Logger             *slog.Logger
	MeterProvider      metric.MeterProvider
	TracerProvider     trace.TracerProvider
	Attributes         []attribute.KeyValue
	KMS                kms.Wrapper
	Cache              keycache.Config
	KeyTable           string
	KeyringID          string // "": any
	Scopes             schema.ScopeRule
	WriteOnly          []string // pins of inboxes; nil: the program is an ordinary one
	AutoCreateKeyTable bool
	Connector          sqldriver.Connector // opens the underlying driver's connections
	KeyConnector       sqldriver.Connector // opens the keyring's connections. If nil, Connector does
	KeyConns           int                 // how many the keyring may have at once. If zero, 2

	// Connect opens another connection to the program's database, for facts that a busy connection
	// cannot be asked for.
	Connect func(ctx context.Context) (conn Conn, closeConn func() error, err error)

	// Planner and Keys replace, in tests, what is made from the fields above.
	Planner Planner
	Keys    KeySource
}

// Planner is the part of *sqlplan.Planner that a front uses.
type Planner interface {
	Plan(ctx context.Context, sql string, env *sqlplan.Env) (*sqlplan.Plan, error)
	Invalidate()
	Stats() sqlplan.Stats
	Survey(ctx context.Context, q dbcatalog.Querier) (*sqlplan.Known, error)
	Learn(k *sqlplan.Known) bool
	Known() *sqlplan.Known
	Both(a, b *sqlplan.Known) *sqlplan.Known
	Named(sql string) ([]dbcatalog.Name, bool)
	Registers(n dbcatalog.Name) bool
	SealedColumns(k *sqlplan.Known, rel *dbcatalog.Relation) ([]*schema.Column, error)
}

// DB is what the connections of one *sql.DB share. It is safe for concurrent use.
type DB struct {
	cfg     Config
	planner Planner
	facts   *factCache
	survey  survey
	stages  stages
	keys    *lazyKeys

	scopeRules bool            // some column has one
	registered map[string]bool // the names of tables, as they are written and as PostgreSQL keeps them, and of the keyring table

	// search is any deterministic column that the program seals, or nil: the number of live search
	// keys is the same for all of them. random is any randomized column that it seals, or nil.
	search, random *schema.Column

	sessions    atomic.Uint64 // numbers the sessions
	open        atomic.Int64  // connections of package driver
	warmAgain   atomic.Int64  // when transactions may wait for keys again; Unix time in nanoseconds
	namesServer atomic.Bool   // the server tells its name when it is asked

	log *audit.Log
	tel *telemetry.Handle
}

// seals reports whether any column is sealed.
func (db *DB) seals() bool { return db.search != nil || db.random != nil }

// New returns a DB. It opens no connection.
func New(cfg Config) *DB {
	if cfg.CatalogMaxAge == 0 {
		cfg.CatalogMaxAge = DefaultCatalogMaxAge
	}
	db := &DB{cfg: cfg, planner: cfg.Planner, facts: newFactCache(), log: audit.New(cfg.Logger)}
	if cfg.WriteOnly != nil {
		db.cfg.Plans.Refuse = refuseWriteOnly
	}
	if db.planner == nil {
		db.planner = sqlplan.New(cfg.Schema, cfg.Dialect, db.cfg.Plans)
	}
	db.tel = db.startTelemetry()
	db.keys = newLazyKeys(db)
	db.stages.begin(&db.cfg)
	db.scopeRules = db.cfg.hasScopeRules()
	db.registered = map[string]bool{cfg.Plans.KeyTable.Table: true}
	for _, t := range cfg.Schema.Tables() {
		db.registered[t.Name], db.registered[dbcatalog.ClipName(t.Name)] = true, true
		for _, col := range t.CellColumns() {
			switch {
			case cfg.WriteOnly != nil && !col.Inbox:
			case col.Suite().Searchable():
				db.search = col
			default:
				db.random = col
			}
		}
	}
	return db
}

// Close ends telemetry and closes the keys and the keyring's connections.
func (db *DB) Close() error {
	db.survey.close()
	db.endStages()
	return errors.Join(db.tel.Close(), db.keys.close())
}

// Config returns the configuration that the DB was made with.
func (db *DB) Config() Config { return db.cfg }

// Counts returns the counters that the metrics read.
func (db *DB) Counts() *telemetry.Counts { return &db.tel.Counts }

// CatalogChanged makes every session read the catalog facts again, and look for what depends on
// sealed tables.
func (db *DB) CatalogChanged(why string) {
	db.survey.need(surveyNeeded)
	db.forgetFacts(why)
}

// forgetFacts makes every session read the catalog facts again.
func (db *DB) forgetFacts(why string) {
	db.facts.forget()
	db.planner.Invalidate()
	db.log.Emit(context.Background(), audit.CatalogReread, slog.String(audit.Because, why))
}

// keyColumns returns the keycache's view of a schema: what each data key is expanded for.
func keyColumns(s *schema.Schema) []keycache.Column {
	var cols []keycache.Column
	for _, t := range s.Tables() {
		for _, col := range t.CellColumns() {
			cols = append(cols, KeyColumn(col))
		}
	}
	return cols
}

// KeyColumn returns the keycache's view of a column.
func KeyColumn(col *schema.Column) keycache.Column {
	return keycache.Column{Identity: col.Identity(), Suite: col.Suite(), Inbox: col.Inbox}
}
