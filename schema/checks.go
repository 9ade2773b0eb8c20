package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
)

// resolveViews gives each view the columns of what it stands on. A view may
// stand on a view, so it goes round until nothing is left to resolve.
func (b *builder) resolveViews() {
	done := map[*Table]bool{}
	for _, t := range b.tables {
		done[t] = true
	}
	left := b.views
	for progress := true; progress && len(left) > 0; {
		progress = false
		var next []pendingView
		for _, v := range left {
			under, ok := b.findRelation(v)
			switch {
			case !ok:
				progress = true // reported
			case !done[under]:
				next = append(next, v)
			default:
				v.view.ViewOf, v.view.Scopes, v.view.columns = under.String(), under.Scopes, b.renamedColumns(v, under)
				b.tables = append(b.tables, v.view)
				done[v.view], progress = true, true
			}
		}
		left = next
	}
	for _, v := range left {
		b.fail(v.view, origin{}, "it is a view of "+v.of+", which leads to no table", "let View name a table with sealed columns")
	}
}

// renamedColumns returns the columns of a view: those of the relation beneath it, or copies
// with the view's names.
func (b *builder) renamedColumns(v pendingView, under *Table) []*Column {
	if len(v.renamed) == 0 {
		return under.columns
	}
	names := map[string]string{}
	for _, r := range v.renamed {
		if under.Column(r.Column) == nil || dbcatalog.CheckName(r.As) != nil || names[r.Column] != "" {
			b.fail(v.view, origin{}, fmt.Sprintf("it renames column %q to %q, which cannot be", r.Column, r.As),
				"name each sealed column of "+under.String()+" once, and both names as the catalog has them")
		}
		names[r.Column] = r.As
	}
	seen := map[string]bool{}
	out := make([]*Column, len(under.columns))
	for i, c := range under.columns {
		as := *c
		as.table = v.view.String()
		if name := names[c.Name]; name != "" {
			as.Name = name
		}
		if c.Was != nil {
			was := *c.Was
			was.table, was.Name = as.table, as.Name
			as.Was = &was
		}
		if seen[as.Name] {
			b.fail(v.view, origin{}, fmt.Sprintf("two of its columns are named %q", as.Name), "give each its own name")
		}
		seen[as.Name] = true
		out[i] = &as
	}
	return out
}

// findRelation finds what a view stands on: the same name, or, for a name
// without a schema, the only one of that name.
func (b *builder) findRelation(v pendingView) (*Table, bool) {
	schemaName, name, err := parseRelation(v.of)
	if err != nil {
		b.fail(v.view, origin{}, "it is a view of a badly named table: "+err.Error(), `write it as SQL does: users, app.users or "Users"`)
		return nil, false
	}
	if t := b.registered[relation{schemaName, name}]; t != nil {
		return t, true
	}
	var found []*Table
	var names []string
	for r, t := range b.registered {
		if t != v.view {
			names = append(names, t.String())
		}
		if schemaName == "" && r.name == name {
			found = append(found, t)
		}
	}
	slices.Sort(names)
	slices.SortFunc(found, func(a, b *Table) int { return cmp.Compare(a.Schema, b.Schema) })
	switch len(found) {
	case 1:
		return found[0], true
	case 0:
		hint := "register the table in the same New"
		if near, ok := nearest(v.of, names); ok {
			hint += ", or did you mean " + near + "?"
		}
		b.fail(v.view, origin{}, "it is a view of "+v.of+", which is not registered", hint)
	default:
		b.fail(v.view, origin{}, fmt.Sprintf("it is a view of %s, and %d schemas have a table of that name", v.of, len(found)), "name the schema: "+found[0].String())
	}
	return nil, false
}

// checkIdentities checks what columns of all tables must not share.
func (b *builder) checkIdentities() {
	byIdentity := map[string]*Column{}
	byGroup := map[string]*Column{}
	byTag := map[uint16]*Column{}
	for _, t := range b.tables {
		if t.ViewOf != "" {
			continue // the columns of the table beneath
		}
		for _, c := range withWas(t.columns) {
			group := c.JoinGroup
			if c.former {
				group += " before" // a blank is in no group's name
			}
			if first := byGroup[group]; c.JoinGroup != "" && first == nil {
				byGroup[group] = c
			} else if c.JoinGroup != "" && c.Kind == first.Kind && (c.Mode != first.Mode || c.identity != first.identity) {
				b.failColumn(c, fmt.Sprintf("join group %q is sealed in another way, or within other bounds, in %s", c.JoinGroup, first.label()),
					"give them one mode, one min=, max= and step=, or separate groups")
			}
			if first := byIdentity[c.identity]; first != nil {
				if first.Was != c {
					b.checkShared(first, c)
				}
				continue
			}
			byIdentity[c.identity] = c
			if first := byTag[c.tag]; first != nil {
				b.tagCollision(byTag, first, c)
				continue
			}
			byTag[c.tag] = c
		}
	}
}

// CellColumns returns the columns whose cells the table holds: the sealed ones in the order of
// their declaration, each followed by its Was. The caller owns the slice.
func (t *Table) CellColumns() []*Column { return withWas(t.columns) }

func withWas(cols []*Column) []*Column {
	var out []*Column
	for _, c := range cols {
		if out = append(out, c); c.Was != nil {
			out = append(out, c.Was)
		}
	}
	return out
}

// checkShared reports two columns of one identity, unless a join group says
// so and their kinds agree.
func (b *builder) checkShared(first, c *Column) {
	if c.JoinGroup == "" || c.JoinGroup != first.JoinGroup {
		b.failColumn(c, fmt.Sprintf("it has the identity %q, and so has %s", c.identity, first.label()),
			"give one of them its own with id=, or put both in one join= group")
		return
	}
	b.checkScopes(first, c)
	if c.Kind != first.Kind {
		b.failColumn(c, fmt.Sprintf("join group %q holds %s values here and %s values in %s", c.JoinGroup, c.Kind.String(), first.Kind.String(), first.label()),
			"give them one kind with kind=, or separate groups")
	}
}

// tagCollision reports two identities with one 16-bit tag, and offers one that
// is free.
func (b *builder) tagCollision(byTag map[uint16]*Column, first, c *Column) {
	option, base := "id=", c.identity
	if c.JoinGroup != "" {
		option, base = "join=", c.JoinGroup
	}
	free := ""
	for i := 2; free == "" && i < 1<<16; i++ {
		name := base + "." + strconv.Itoa(i)
		identity := name
		if c.JoinGroup != "" {
			identity = joinPrefix + name
		}
		if byTag[codec.ColumnTag(identity)] == nil {
			free = name
		}
	}
	b.failColumn(c, fmt.Sprintf("its identity %q has the 16-bit tag %04x, and so has %q of %s", c.identity, c.tag, first.identity, first.label()),
		"give the newer of the two another identity, for instance "+option+free)
}

// label names a column in an error about another one.
func (c *Column) label() string {
	if c.origin.field != "" {
		return c.origin.field + " (table " + c.table + ")"
	}
	return c.table + "." + identText(c.Name)
}
