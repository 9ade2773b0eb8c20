package front

import (
	"context"
	"log/slog"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// ruleOf returns the rule for a column: its table's, or the configuration's.
func (db *DB) ruleOf(col *schema.Column) schema.ScopeRule {
	if rule := col.Scopes(); rule != schema.ScopesConfigured {
		return rule
	}
	return db.cfg.Scopes
}

// hasScopeRules reports whether any column has a rule.
func (c *Config) hasScopeRules() bool {
	if c.Scopes != schema.ScopesConfigured {
		return true
	}
	for _, t := range c.Schema.Tables() {
		if t.Scopes != schema.ScopesConfigured {
			return true
		}
	}
	return false
}

// sealsNothing reports whether the configuration's rule lets nothing be sealed in ctx's scope.
func (db *DB) sealsNothing(ctx context.Context) bool {
	switch db.cfg.Scopes {
	case schema.ScopesRequired:
		return keyring.ScopeOf(ctx) == ""
	case schema.ScopesNever:
		return keyring.ScopeOf(ctx) != ""
	}
	return false
}

// checkScopes refuses a statement that seals or searches for a value under a scope that the rules
// forbid, or without one that they require.
func (v *Sealing) checkScopes(p *sqlplan.Plan) error {
	db := v.s.db
	if !db.scopeRules {
		return nil
	}
	scope := keyring.ScopeOf(v.ctx)
	for i := range v.keys {
		if err := db.checkScope(v.keys[i].col, scope); err != nil {
			return err
		}
	}
	if p == nil {
		return nil
	}
	// NULLs too: whether a statement is refused does not depend on its values.
	for i := range p.Params {
		if use := p.Params[i].Use; use != nil && !use.Answered() {
			if err := db.checkScope(use.Column, scope); err != nil {
				return err
			}
		}
	}
	for i := range p.Literals {
		if err := db.checkScope(p.Literals[i].Use.Column, scope); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) checkScope(col *schema.Column, scope string) error {
	r := &sqlplan.Refusal{Class: colseal.ClassScope, Table: col.TableName(), Column: col.Name}
	switch rule := db.ruleOf(col); {
	case rule == schema.ScopesRequired && scope == "":
		r.Reason, r.Hint = "a value would be sealed or searched for without a scope", "give the statement a context of keyring.WithScope"
	case rule == schema.ScopesNever && scope != "":
		r.Reason, r.Hint = "a value would be sealed or searched for under a scope, and the table has none", "give the statement a context without keyring.WithScope; values of tables with scopes and without go into separate statements"
	default:
		return nil
	}
	return r
}

// noteUnscoped logs that values are sealed without a scope, in a keyring that has scopes: one may
// have been forgotten.
func (v *Sealing) noteUnscoped(source KeySource) {
	if !source.Scoped() || keyring.ScopeOf(v.ctx) != "" {
		return
	}
	for i := range v.keys {
		k := &v.keys[i]
		if v.s.db.ruleOf(k.col) != schema.ScopesConfigured {
			continue
		}
		v.s.db.tel.Counts.Unscoped(k.cells)
		table, column := k.col.TableName(), k.col.Name
		v.s.db.log.EmitSparse(context.WithoutCancel(v.ctx), audit.Unscoped, []string{table, column}, slog.String(audit.Table, table), slog.String(audit.Column, column))
	}
}
