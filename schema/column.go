package schema

import "github.com/colseal/colseal/codec"

// Column is one sealed column. A caller fills in the exported fields for
// [Columns]; the methods answer for the columns of a [Schema], which are
// complete and are never changed. The zero value of every field but Name is
// usable: randomized text with the default identity.
type Column struct {
	Name string // the column's name in the catalog, case-sensitive, without quotes
	Mode Mode   // default ModeRandomized
	Kind Kind   // default Text

	// ID is the column's cryptographic identity when it is not the default
	// (see Identity). It keeps cells readable after a table or a column is
	// renamed. It cannot be combined with JoinGroup.
	ID string

	// JoinGroup makes deterministic or ordered columns share one identity, and so
	// one key: equal values have equal cells in all of them. All columns of a
	// group are of one mode, one kind, and one order.
	JoinGroup string

	// Min, Max and Step bound the values of an ordered column, as a tag has
	// them: the fewer values there can be, the smaller are the cells and the
	// less they show. A value out of bounds, or between two steps, is an error on
	// write. They are part of the identity.
	Min, Max, Step string

	// Cursor allows ORDER BY and comparisons by order of a deterministic column,
	// for paging: the order of the cells, which is stable, means nothing, and
	// shows no more than the column does.
	Cursor bool

	// Terms are what else a randomized or deterministic column can be searched
	// for by. They are part of its identity, behind a "#": a column whose terms
	// change takes and opens other cells.
	Terms codec.Terms

	// Inbox says that write-only programs may seal the randomized column, and that other programs
	// open such cells in it. Whoever may insert rows into the keyring can forge such cells.
	Inbox bool

	// Stage is how far the column is on its way between plain and sealed. If StageNone, Name is the
	// column of the cells. Otherwise they stand in the column Stored, and Name is the plain column.
	// With Stored alone it is StageOnly.
	Stage Stage

	// Stored is the name of the column that holds the cells while the column has a stage. If empty,
	// it is Name with "_sealed" behind it.
	Stored string

	// Was is how the column was sealed before, if its options change: its stage then leads from
	// there instead of from a plain column. Its Name is the column's. Its cells stand in its own
	// Stored, or in the column Name if that is empty.
	Was *Column

	former   bool // it is another one's Was
	scopes   ScopeRule
	layout   codec.Layout // known once the column is resolved
	identity string
	tag      uint16
	table    string
	base     string // the table beneath, of a view's column too
	baseName string // the column's name there
	origin   origin
}

// origin says where a column was declared, for errors.
type origin struct {
	strct string // Go type, "" without a struct
	field string // Go path, "" without a struct
}

// Identity returns the text that binds a cell to its column. It is authenticated with every cell
// and is part of the key derivation. It is ID if that is set, "join:GROUP" in a join group, and
// otherwise the registered relation name and the column name: "users.email" for a table registered
// as users, "app.users.email" for one registered as app.users. The identity of an ordered column
// ends in its order, "users.age#ord:int:0:150:1", and that of a column with terms in these,
// "users.email#fold". It is empty for a Column that is not part of a Schema.
func (c *Column) Identity() string { return c.identity }

// Tag returns the identity's 16-bit tag, which stands in every cell's header.
func (c *Column) Tag() uint16 { return c.tag }

// Suite returns the cell format of the column's mode.
func (c *Column) Suite() codec.Suite {
	if c.layout.Suite != 0 {
		return c.layout.Suite
	}
	return c.suite()
}

func (c *Column) suite() codec.Suite {
	terms := c.Terms != (codec.Terms{})
	switch {
	case c.Mode == ModeDeterministic && terms:
		return codec.SuiteTerms
	case c.Mode == ModeDeterministic:
		return codec.SuiteDeterministic
	case c.Mode == ModeOrdered:
		return codec.SuiteOrdered
	case terms:
		return codec.SuiteRandomTerms
	}
	return codec.SuiteRandomized
}

// Layout returns what the column's cells look like.
func (c *Column) Layout() codec.Layout { return codec.Layout{Suite: c.Suite(), Order: c.layout.Order} }

// EqualCells reports whether equal values have equal cells, so that they can be
// compared for equality: those of deterministic and ordered columns.
func (c *Column) EqualCells() bool { return c.Suite().EqualCells() }

// Sorted reports whether the column's cells may be compared by order: those of
// ordered columns, and of deterministic ones for paging.
func (c *Column) Sorted() bool { return c.Mode == ModeOrdered || c.Cursor }

// Scopes returns the rule of the column's table.
func (c *Column) Scopes() ScopeRule { return c.scopes }

// TableName returns the table that holds the column, as [Table.String] writes it.
// A view's columns name the table beneath the view.
func (c *Column) TableName() string { return c.table }

// Field returns the Go path of the struct field that declares the column, such as
// "User.Address.Email"; empty when no struct does.
func (c *Column) Field() string { return c.origin.field }

const joinPrefix = "join:"

// resolve completes the column as a part of table t.
func (c *Column) resolve(t *Table) {
	c.table = t.String()
	c.base, c.baseName = c.table, c.Name
	c.stage()
	c.layout = codec.Layout{Suite: c.suite()}
	if c.Was != nil && !c.former { // what that was is refused
		was := *c.Was
		if was.Kind == 0 {
			was.Kind = KindText
		}
		was.Name, was.origin, was.former = c.Name, c.origin, true
		was.resolve(t)
		c.Was = &was
	}
	switch {
	case c.JoinGroup != "":
		c.identity = joinPrefix + c.JoinGroup
	case c.ID != "":
		c.identity = c.ID
	default:
		c.identity = t.identity() + "." + c.Name
	}
	if c.Terms != (codec.Terms{}) {
		c.identity += "#" + c.Terms.String()
	}
	if c.Mode == ModeOrdered {
		// A mistake is reported by checkColumn.
		if order, err := codec.ParseOrder(c.Kind, c.Min, c.Max, c.Step); err == nil {
			c.layout.Order = order
			c.identity += order.Suffix()
		}
	}
	c.tag = codec.ColumnTag(c.identity)
}
