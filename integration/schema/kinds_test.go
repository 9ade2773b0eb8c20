package schema_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/schema"
)

// identified has the types for UUIDs and decimal numbers that most programs use.
type identified struct {
	Key    uuid.UUID            `seal:"random"`
	KeyPtr *uuid.UUID           `seal:"random"`
	Null   sql.Null[uuid.UUID]  `seal:"random,kind=uuid"`
	Price  decimal.Decimal      `seal:"deterministic,kind=numeric"`
	Tax    *decimal.NullDecimal `seal:"random,kind=numeric"`
}

func TestKindsOfLibraries(t *testing.T) {
	want := map[string]schema.Kind{"key": schema.KindUUID, "key_ptr": schema.KindUUID, "null": schema.KindUUID, "price": schema.KindNumeric, "tax": schema.KindNumeric}
	columns := schema.Must(schema.Model("t", identified{})).Lookup("", "t").Columns()
	if len(columns) != len(want) {
		t.Errorf("%d columns, want %d", len(columns), len(want))
	}
	for _, c := range columns {
		if want[c.Name] != c.Kind {
			t.Errorf("column %s is %s, want %s", c.Name, c.Kind, want[c.Name])
		}
	}
}

func TestDecimalNeedsAKind(t *testing.T) {
	type priced struct {
		Price decimal.Decimal `seal:"random"`
	}
	_, err := schema.New(schema.Model("t", priced{}))
	if err == nil || !strings.Contains(err.Error(), "decimal.Decimal") || !strings.Contains(colseal.Hint(err), "kind=numeric") {
		t.Errorf("error %v, want one that asks for kind=numeric", err)
	}
}
