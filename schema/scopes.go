package schema

import "fmt"

// ScopeRule says under which scopes values of a table are sealed and searched for. Reading
// needs no scope.
type ScopeRule uint8

// The rules.
const (
	ScopesConfigured ScopeRule = iota // as driver.Config.Scopes says
	ScopesRequired                    // under a scope only: see Scoped
	ScopesNever                       // without one only: see Unscoped
)

// String returns how tags and the JSON form write the rule: "scoped", "unscoped", or "".
func (r ScopeRule) String() string {
	switch r {
	case ScopesConfigured:
		return ""
	case ScopesRequired:
		return "scoped"
	case ScopesNever:
		return "unscoped"
	}
	return fmt.Sprintf("ScopeRule(%d)", uint8(r))
}

// Scoped makes the driver refuse to seal or search for a value of a table without a scope
// (keyring.WithScope): it would be sealed under the default scope's keys, and stay readable when
// the scope that was forgotten is destroyed. In a model a blank field says the same:
//
//	_ struct{} `seal:"scoped"`
func Scoped(table Source) Source { return ruledSource{table, ScopesRequired} }

// Unscoped makes the driver refuse to seal or search for a value of a table under a scope. All of
// its deterministic cells are then sealed under the default scope's keys, so that comparing,
// grouping and UNIQUE work over the whole table. In a model a blank field says the same:
//
//	_ struct{} `seal:"unscoped"`
func Unscoped(table Source) Source { return ruledSource{table, ScopesNever} }

type ruledSource struct {
	Source
	rule ScopeRule
}

func (s ruledSource) addTo(b *builder) {
	tables, views, plain := len(b.tables), len(b.views), len(b.plain)
	if s.Source == nil {
		b.errs = append(b.errs, &FieldError{Reason: "the source of Scoped or Unscoped is nil", Hint: "pass a Model or Columns"})
		return
	}
	s.Source.addTo(b)
	for _, t := range b.tables[tables:] {
		b.setScopes(t, s.rule)
	}
	if len(b.views) > views || len(b.plain) > plain {
		b.errs = append(b.errs, &FieldError{Reason: "Scoped and Unscoped are for tables", Hint: "give it to the table: a view has the rule of its table"})
	}
}

// setScopes gives a table its rule.
func (b *builder) setScopes(t *Table, rule ScopeRule) {
	if t.Scopes != ScopesConfigured && t.Scopes != rule {
		b.fail(t, t.origin, "it is both scoped and unscoped", "keep one of the two")
		return
	}
	t.Scopes = rule
	for _, c := range t.columns {
		if c.scopes = rule; c.Was != nil {
			c.Was.scopes = rule
		}
	}
}

// checkScopes reports a join group whose columns are never sealed under one key.
func (b *builder) checkScopes(first, c *Column) {
	if first.scopes != c.scopes && first.scopes != ScopesConfigured && c.scopes != ScopesConfigured {
		b.failColumn(c, fmt.Sprintf("its table is %s, and that of %s, in the same join group, is %s: their cells are never equal", c.scopes, first.label(), first.scopes),
			"give them separate groups, or one rule")
	}
}

// parseScopes reads a rule as String writes it.
func parseScopes(s string) (ScopeRule, bool) {
	for _, r := range []ScopeRule{ScopesConfigured, ScopesRequired, ScopesNever} {
		if s == r.String() {
			return r, true
		}
	}
	return 0, false
}
