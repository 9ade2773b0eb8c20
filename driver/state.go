package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/schema"
)

// planner is the part of *sqlplan.Planner that is used here.
type planner interface {
	Plan(ctx context.Context, sql string, env *sqlplan.Env) (*sqlplan.Plan, error)
	Invalidate()
	Stats() sqlplan.Stats
}

// state is what the connections of one connector share. It is safe for concurrent use.
type state struct {
	cfg   Config
	inner sqldriver.Connector
	plans planner
	facts *factCache
	ring  *ring

	// search is any deterministic column: how many search keys are live is the same
	// for all of them. Nil when the schema has none.
	search *schema.Column
	random *schema.Column // any randomized column, or nil

	// resets says that ResetSession of the connections below may run code of the program's.
	resets bool

	connIDs atomic.Uint64

	log *audit.Log
	tel *telemetry.Handle
}

func newState(inner sqldriver.Connector, cfg Config) *state {
	st := &state{cfg: cfg, inner: inner, plans: newPlanner(cfg), facts: newFactCache(), log: audit.New(cfg.Logger), resets: resetsSession(inner)}
	st.tel = startTelemetry(st)
	st.ring = newRing(inner, st.observed(), st.log)
	for _, t := range cfg.Schema.Tables() {
		for _, col := range t.Columns() {
			switch col.Mode {
			case schema.Deterministic:
				st.search = col
			default:
				st.random = col
			}
		}
	}
	return st
}

// newPlanner makes the SQL analysis that cfg asks for.
func newPlanner(cfg Config) planner { return sqlplan.New(cfg.Schema, cfg.Dialect, planOptions(cfg)) }

func planOptions(cfg Config) sqlplan.Options {
	return sqlplan.Options{MaxPlans: cfg.Limits.Plans, MaxBytes: cfg.Limits.StatementBytes, MaxNesting: cfg.Limits.Nesting}
}

// forgetCatalog makes every connection read the catalog facts again.
func (st *state) forgetCatalog(why string) {
	st.facts.forget()
	st.plans.Invalidate()
	st.log.Emit(context.Background(), audit.CatalogReread, slog.String(audit.Because, why))
}

func (st *state) close() error { return errors.Join(st.tel.Close(), st.ring.close()) }

// keyColumns is the keycache's view of a schema: what each data key is expanded for.
func keyColumns(s *schema.Schema) []keycache.Column {
	var cols []keycache.Column
	for _, t := range s.Tables() {
		for _, col := range t.Columns() {
			cols = append(cols, keyColumn(col))
		}
	}
	return cols
}

// keyColumn is the keycache's view of a column.
func keyColumn(col *schema.Column) keycache.Column {
	return keycache.Column{Identity: col.Identity(), Suite: col.Suite()}
}
