package driver

import (
	sqldriver "database/sql/driver"
	"fmt"
	"reflect"
	"time"
)

// argChecker does to plain arguments what database/sql would have done with the underlying
// driver in our place: the order of the checkers and the texts of the errors are those
// of database/sql (convert.go, driverArgsConnLocked).
type argChecker struct {
	nvc sqldriver.NamedValueChecker // the underlying statement's, else the underlying connection's, or nil
	all bool                        // every value is taken as it is

	asText bool // see underlying.sendsText
}

// one converts one argument in place.
func (a *argChecker) one(nv *sqldriver.NamedValue) error {
	if a.all {
		return nil
	}
	err := sqldriver.ErrSkip
	if a.nvc != nil {
		err = a.nvc.CheckNamedValue(nv)
	}
	if err == sqldriver.ErrSkip {
		nv.Value, err = sqldriver.DefaultParameterConverter.ConvertValue(nv.Value)
	}
	if err == nil || err == sqldriver.ErrRemoveArgument {
		return err
	}
	return fmt.Errorf("sql: converting argument %s type: %w", describe(nv), err)
}

// each converts all arguments of a statement. It returns args itself if nothing had to
// be done, and never changes what args holds.
func (a *argChecker) each(args []sqldriver.NamedValue) ([]sqldriver.NamedValue, error) {
	if a.all || (a.nvc == nil && areValues(args)) {
		return args, nil
	}
	out := make([]sqldriver.NamedValue, 0, len(args))
	for _, nv := range args {
		nv.Ordinal = len(out) + 1
		switch err := a.one(&nv); err {
		case nil:
			out = append(out, nv)
		case sqldriver.ErrRemoveArgument:
		default:
			return nil, err
		}
	}
	return out, nil
}

// areValues reports whether the default conversion would change nothing.
func areValues(args []sqldriver.NamedValue) bool {
	for i := range args {
		if v := args[i].Value; !isPlain(v) {
			if _, ok := v.(sqldriver.Valuer); ok || !sqldriver.IsValue(v) {
				return false
			}
		}
	}
	return true
}

// isPlain reports whether an argument is of a usual type, and so no option and no Valuer. Asking
// for an interface takes longer.
func isPlain(arg any) bool {
	if _, ok := arg.(string); ok {
		return true
	}
	if _, ok := arg.(int64); ok {
		return true
	}
	switch arg.(type) {
	case nil, float64, bool, []byte, time.Time:
		return true
	}
	return false
}

// withoutOptions removes the arguments that the underlying driver takes for options
// (driver.ErrRemoveArgument). It is needed only when there are more arguments than the
// statement has parameters.
func (a *argChecker) withoutOptions(args []sqldriver.NamedValue) []sqldriver.NamedValue {
	if a.nvc == nil {
		return args
	}
	out := make([]sqldriver.NamedValue, 0, len(args))
	for _, nv := range args {
		if a.isOption(nv) {
			continue
		}
		nv.Ordinal = len(out) + 1
		out = append(out, nv)
	}
	return out
}

// isOption asks the underlying driver about the type of an argument. It is not shown the value,
// which may have to be sealed: drivers tell their options by type.
func (a *argChecker) isOption(nv sqldriver.NamedValue) (option bool) {
	if nv.Value == nil || sqldriver.IsValue(nv.Value) {
		return false
	}
	rv := reflect.ValueOf(nv.Value)
	switch typ := rv.Type(); typ.Kind() {
	case reflect.Func: // not a value that can be sealed, and it may be called
	case reflect.Pointer:
		nv.Value = reflect.New(typ.Elem()).Interface()
	case reflect.Map:
		nv.Value = reflect.MakeMap(typ).Interface()
	default:
		nv.Value = reflect.Zero(typ).Interface()
	}
	// A driver may not be made for an empty value of its own type.
	defer func() {
		if recover() != nil {
			option = false
		}
	}()
	return a.nvc.CheckNamedValue(&nv) == sqldriver.ErrRemoveArgument
}

func describe(nv *sqldriver.NamedValue) string {
	if nv.Name == "" {
		return fmt.Sprintf("$%d", nv.Ordinal)
	}
	return fmt.Sprintf("with name %q", nv.Name)
}
