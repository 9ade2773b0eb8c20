package snippets

import (
	"time"

	"github.com/colseal/colseal/schema"
)

// Decimal is a number as the database prints it.
type Decimal string

// Person has a column of each kind that sorts.
type Person struct {
	ID    int64
	Age   int       `db:"age"   seal:"ordered,min=0,max=150"`
	Born  time.Time `db:"born"  seal:"ordered,kind=date,min=1900-01-01,max=2069-12-31"`
	Owed  Decimal   `db:"owed"  seal:"ordered,kind=numeric,min=-100000,max=100000,step=0.01"`
	Seen  time.Time `db:"seen"  seal:"ordered"`
	Token string    `db:"token" seal:"deterministic,cursor"`
	Name  string    `db:"name"  seal:"random,fold,prefix=3-8"`
	Mail  string    `db:"mail"  seal:"deterministic,fold,suffix=12"` // 3 to 12 characters
	Tags  []string  `db:"tags"  seal:"random,elements"`
}

var _ = schema.Must(schema.Unscoped(schema.Model("people", Person{})))
