package driver

import (
	"bytes"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sqlplan"
)

type failingValuer struct{}

var errValuer = errors.New("the caller's own error about " + canary)

func (failingValuer) Value() (sqldriver.Value, error) { return nil, errValuer }

// Whatever goes wrong with a sealed argument, no error and no log record holds it, and
// the error says where it was.
func TestNoErrorHoldsAValue(t *testing.T) {
	var log bytes.Buffer
	b := newBench(t, "full", func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	other := *b.use("ssn")
	other.Storage = dbcatalog.StorageOther
	array := *b.use("email")
	array.Array = true
	spent := *b.use("email")
	spent.Key = 3
	uses := map[string]*sqlplan.Use{
		"text": b.use("ssn"), "int": b.use("age"), "time": b.use("born"), "json": b.use("profile"), "tags": b.use("tags"),
		"other": &other, "array": &array, "spent": &spent,
	}
	type odd struct{ V string }
	c := canary
	args := []any{
		canary, []byte(canary), &c, []string{canary}, map[string]string{canary: canary}, odd{canary}, &odd{canary},
		sql.Named("x", canary), sql.Out{Dest: &c}, &sql.Out{Dest: &c}, failingValuer{}, make(chan int), func() {}, email(canary),
		"\x00" + canary, "\xff" + canary, `{"` + canary, []any{canary, odd{canary}}, 1.5, complex(1, 2), uint64(1 << 63),
	}
	failed := 0
	for name, use := range uses {
		literal := sealedPlan("")
		literal.Chunks = []string{"", ""}
		literal.Literals = []sqlplan.Literal{{Value: canary, Use: *use}}
		b.plans.plans["arg"] = sealedPlan("arg", sqlplan.Param{From: 1, Use: use})
		b.plans.plans["lit"] = literal
		errs := []error{}
		for _, arg := range args {
			_, err := b.db.Exec("arg", arg)
			errs = append(errs, err)
			if ce := new(CellError); errors.As(err, &ce) && ce.Op == "seal" && ce.Where != "argument $1" {
				t.Errorf("%s of %T does not say where: %v", name, arg, err)
			}
		}
		_, err := b.db.Exec("lit")
		errs = append(errs, err)
		for _, err := range errs {
			if err == nil {
				continue
			}
			failed++
			if strings.Contains(err.Error(), canary) || strings.Contains(fmt.Sprintf("%+v %#v", err, err), canary) {
				t.Errorf("%s: %v", name, err)
			}
			if !strings.Contains(err.Error(), "users.") {
				t.Errorf("%s: the error names no column: %v", name, err)
			}
		}
	}
	if failed < 40 {
		t.Errorf("only %d errors were looked at", failed)
	}
	if strings.Contains(log.String(), canary) {
		t.Error("the log holds a value")
	}
	b.plans.plans["arg"] = sealedPlan("arg", sqlplan.Param{From: 1, Use: b.use("ssn")})
	if _, err := b.db.Exec("arg", failingValuer{}); !errors.Is(err, errValuer) {
		t.Errorf("the caller's own error is lost: %v", err)
	}
}

// Nothing that the underlying driver is given for a sealed column holds plaintext.
func TestNothingSentHoldsAValue(t *testing.T) {
	b := newBench(t, "full")
	array := *b.use("email")
	array.Array = true
	text := *b.use("ssn")
	text.Storage = dbcatalog.StorageText
	for _, use := range []*sqlplan.Use{b.use("ssn"), b.use("email"), b.use("tags"), &array, &text} {
		p := sealedPlan("", sqlplan.Param{From: 1, Use: use})
		p.Chunks = []string{"a ", " b"}
		p.Literals = []sqlplan.Literal{{Value: `{` + canary + `}`, Use: *use}}
		b.plans.plans["s"] = p
		for _, arg := range []any{canary, []string{canary}, email(canary), `{` + canary + `}`} {
			b.server.lastArgs, b.server.lastQuery = nil, ""
			_, _ = b.db.Exec("s", arg) // some of these do not fit, and are not sent
			for _, nv := range b.server.lastArgs {
				sent := fmt.Sprintf("%s %v %x", nv.Value, nv.Value, nv.Value)
				if strings.Contains(sent, canary) || strings.Contains(sent, fmt.Sprintf("%x", canary)) {
					t.Errorf("%T: sent %s", arg, sent)
				}
			}
			if strings.Contains(b.server.lastQuery, canary) {
				t.Errorf("%T: sent %s", arg, b.server.lastQuery)
			}
		}
	}
}
