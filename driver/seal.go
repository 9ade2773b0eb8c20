package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"strconv"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/internal/telemetry"
)

// sealer seals what one statement carries. It first takes in all that has to be sealed,
// then asks for each column's key once with the number of its cells, then seals.
type sealer struct {
	ctx  context.Context
	c    *conn
	keys []columnKeys

	room  int    // bytes that the cells of the arguments will take, about
	block []byte // where the next cell goes: cells of one statement are made and forgotten together

	sealed telemetry.Cells
}

// statement seals the literals and the arguments of one statement. It never changes
// args or what its values point to.
func (s *sealer) statement(p *sqlplan.Plan, args []sqldriver.NamedValue, check *argChecker) (sealedText, []sqldriver.NamedValue, error) {
	out, err := s.takeInArgs(p, args, check)
	if err == nil {
		err = s.takeInLiterals(p)
	}
	if err == nil {
		err = s.findKeys(p)
	}
	if err == nil {
		err = s.sealArgs(p, out)
	}
	var text sealedText
	if err == nil {
		text, err = s.text(p)
	}
	if err != nil {
		s.c.giveArgs(out)
		return sealedText{}, nil, err
	}
	s.tally()
	return text, out, nil
}

// literals seals the literals of a statement that is to be prepared.
func (s *sealer) literals(p *sqlplan.Plan) (sealedText, error) {
	if err := s.takeInLiterals(p); err != nil {
		return sealedText{}, err
	}
	if err := s.findKeys(p); err != nil {
		return sealedText{}, err
	}
	defer s.tally()
	return s.text(p)
}

// arguments seals the arguments of a statement that was prepared.
func (s *sealer) arguments(p *sqlplan.Plan, args []sqldriver.NamedValue, check *argChecker) ([]sqldriver.NamedValue, error) {
	out, err := s.takeInArgs(p, args, check)
	if err == nil {
		err = s.findKeys(p)
	}
	if err == nil {
		err = s.sealArgs(p, out)
	}
	if err != nil {
		s.c.giveArgs(out)
		return nil, err
	}
	s.tally()
	return out, nil
}

// takeInArgs returns the parameters to send, those that are to be sealed as takeIn leaves
// them. They are to be given back, on error too.
func (s *sealer) takeInArgs(p *sqlplan.Plan, args []sqldriver.NamedValue, check *argChecker) ([]sqldriver.NamedValue, error) {
	if len(args) > p.NumInput {
		args = check.withoutOptions(args)
	}
	if !p.NamedInput && len(args) != p.NumInput {
		return nil, fmt.Errorf("colseal: expected %d arguments, got %d", p.NumInput, len(args))
	}
	out := s.c.takeArgs(len(p.Params))
	for i := range p.Params {
		param := &p.Params[i]
		arg, err := argument(param, args)
		if err != nil {
			return out, err
		}
		out[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: arg.Value}
		if param.Use == nil {
			err = s.plain(&out[i], arg, check)
		} else {
			out[i].Value, err = s.takeIn(param.Use, arg.Value)
			err = whereArgument(param, err)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// sealArgs seals what takeInArgs took in.
func (s *sealer) sealArgs(p *sqlplan.Plan, out []sqldriver.NamedValue) error {
	for i := range p.Params {
		if use := p.Params[i].Use; use != nil {
			v, err := s.seal(use, out[i].Value)
			if err != nil {
				return whereArgument(&p.Params[i], err)
			}
			out[i].Value = v
		}
	}
	return nil
}

// plain converts an argument that is not sealed.
func (s *sealer) plain(out *sqldriver.NamedValue, arg *sqldriver.NamedValue, check *argChecker) error {
	err := check.one(out)
	if err == sqldriver.ErrRemoveArgument {
		return fmt.Errorf("colseal: the driver takes argument %s for an option, but the statement has it as a parameter", describe(arg))
	}
	return err
}

// argument finds the caller's argument for a parameter.
func argument(param *sqlplan.Param, args []sqldriver.NamedValue) (*sqldriver.NamedValue, error) {
	if param.Name == "" {
		if param.From < 1 || param.From > len(args) {
			return nil, fmt.Errorf("colseal: there is no argument for parameter %d", param.From)
		}
		return &args[param.From-1], nil
	}
	for i := range args {
		if args[i].Name == param.Name {
			return &args[i], nil
		}
	}
	return nil, fmt.Errorf("colseal: there is no argument named %q: give it with sql.Named", param.Name)
}

// whereArgument says which of the caller's arguments an error is about.
func whereArgument(param *sqlplan.Param, err error) error {
	if err == nil {
		return nil
	}
	where := "argument $" + strconv.Itoa(param.From)
	if param.Name != "" {
		where = "argument " + strconv.Quote(param.Name)
	}
	return sealError(param.Use.Column, where, err)
}

// takeIn reduces a value to what seal works on (nil, a single value or []any for an
// array) and counts its cells.
func (s *sealer) takeIn(use *sqlplan.Use, v any) (any, error) {
	if use.Storage == dbcatalog.StorageOther {
		return nil, errors.New("the column's type cannot hold a cell: make it bytea")
	}
	if !use.Array {
		v, err := s.unwrapValue(use.Column.Kind, v)
		if err == nil && v != nil {
			err = use.Limit.Check(use.Column.Kind, v)
		}
		if err == nil && v != nil {
			s.count(use.Column, 1)
			if use.Storage == dbcatalog.StorageBytes {
				s.room += codec.CellSize(use.Column.Suite(), use.Column.Kind, v)
			}
		}
		return v, err
	}
	elems, err := s.unwrapArray(use.Column.Kind, v)
	if err != nil || elems == nil {
		return nil, err
	}
	cells := 0
	for _, e := range elems {
		if e == nil {
			continue
		}
		if err := use.Limit.Check(use.Column.Kind, e); err != nil {
			return nil, err
		}
		cells++
	}
	s.count(use.Column, cells)
	return elems, nil
}

func (s *sealer) takeInLiterals(p *sqlplan.Plan) error {
	for i := range p.Literals {
		lit := &p.Literals[i]
		if _, err := s.takeIn(&lit.Use, lit.Value); err != nil {
			return whereLiteral(lit, err)
		}
	}
	return nil
}

func whereLiteral(lit *sqlplan.Literal, err error) error {
	if err == nil {
		return nil
	}
	return sealError(lit.Use.Column, "a literal of the statement", err)
}

// seal makes the parameter for a value that takeIn returned.
func (s *sealer) seal(use *sqlplan.Use, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	if use.Array {
		return s.sealArray(use, v.([]any))
	}
	cell, err := s.cell(use, v)
	if err != nil {
		return nil, err
	}
	if use.Storage == dbcatalog.StorageText {
		return codec.EncodeText(cell), nil
	}
	return cell, nil
}

func (s *sealer) cell(use *sqlplan.Use, v any) ([]byte, error) {
	key, err := s.key(use)
	if err != nil {
		return nil, err
	}
	size := codec.CellSize(use.Column.Suite(), use.Column.Kind, v)
	if cap(s.block) < size {
		s.block = make([]byte, 0, max(size, min(s.room, maxBlock)))
	}
	s.room -= size
	cell, err := key.AppendSealed(s.block, use.Column.Kind, v)
	if err != nil {
		return nil, err
	}
	s.sealed.Add(use.Column.Suite())
	// The rest of the block, where the cell was made in it and not in memory of its own.
	if n := len(cell); n <= cap(s.block) && &cell[0] == &s.block[:1][0] {
		s.block = s.block[n:n:cap(s.block)]
	}
	return cell[:len(cell):len(cell)], nil
}

// maxBlock bounds how much memory one argument can keep alive if it is kept.
const maxBlock = 64 << 10

// cells seals the elements of an array; NULLs stay nil.
func (s *sealer) cells(use *sqlplan.Use, elems []any) ([][]byte, error) {
	out := make([][]byte, len(elems))
	for i, e := range elems {
		if e == nil {
			continue
		}
		cell, err := s.cell(use, e)
		if err != nil {
			return nil, err
		}
		out[i] = cell
	}
	return out, nil
}

// sealArray returns the parameter for an array of cells: Go slices for pgx, which
// encodes them in every mode, and an array literal for other drivers.
func (s *sealer) sealArray(use *sqlplan.Use, elems []any) (any, error) {
	cells, err := s.cells(use, elems)
	if err != nil {
		return nil, err
	}
	if s.c.st.cfg.Dialect != Postgres {
		return nil, errors.New("there are no arrays in " + s.c.st.cfg.Dialect.String())
	}
	if s.c.pg == nil {
		return arrayLiteral(use.Storage, cells), nil
	}
	if use.Storage != dbcatalog.StorageText {
		return cells, nil
	}
	texts := make([]*string, len(cells))
	for i, cell := range cells {
		if cell != nil {
			t := codec.EncodeText(cell)
			texts[i] = &t
		}
	}
	return texts, nil
}
