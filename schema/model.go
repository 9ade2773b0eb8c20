package schema

import (
	"fmt"
	"reflect"
)

// Model declares the sealed columns of a table by the struct tags of its
// model: a struct, or a pointer to one, which may be nil. With table "" the
// name is that of the model's TableName() string method, as GORM has it. The
// name is written as in SQL: users, app.users, "Users".
func Model(table string, model any, opts ...ModelOption) Source {
	s := modelSource{table: table, model: model}
	for _, opt := range opts {
		opt(&s)
	}
	return s
}

// ModelOption changes how a [Model] is read.
type ModelOption func(*modelSource)

// WithColumnNames replaces the last step in finding a column's name: names
// returns that of a field which no tag names. Give strings.ToLower for
// models that are read by sqlx's default mapper.
func WithColumnNames(names func(field string) string) ModelOption {
	return func(s *modelSource) { s.columnNames = names }
}

// WithIdentityTable sets the table's part of the columns' default identities.
// Give a renamed table its former name here, and its cells stay readable:
// with WithIdentityTable("users"), column email has the identity users.email
// whatever the table's name. Columns with id= or join= are not changed.
func WithIdentityTable(table string) ModelOption {
	return func(s *modelSource) { s.identityTable, s.hasIdentityTable = table, true }
}

type modelSource struct {
	table            string
	model            any
	columnNames      func(string) string
	identityTable    string
	hasIdentityTable bool
}

func (s modelSource) addTo(b *builder) {
	t, ok := structOf(s.model)
	if !ok {
		b.errs = append(b.errs, &FieldError{Struct: fmt.Sprintf("%T", s.model), Table: s.table, Reason: "the model is not a struct or a pointer to one",
			Hint: "pass a value such as User{} or (*User)(nil)"})
		return
	}
	name := s.table
	if name == "" {
		var err *tagError
		if name, err = tableName(t, s.model); err != nil {
			b.errs = append(b.errs, &FieldError{Struct: typeName(t), Reason: err.reason, Hint: err.hint})
			return
		}
	}
	if b.models == nil {
		b.models = map[reflect.Type]bool{}
	}
	b.models[t] = true
	table := b.newTable(name, origin{strct: typeName(t)})
	if table == nil {
		return
	}
	w := &walker{b: b, table: table, root: t}
	before := len(b.errs)
	w.walk(t, rootName(t), naming{custom: s.columnNames})
	if len(w.cols) == 0 && len(b.errs) == before {
		b.fail(table, origin{strct: typeName(t)}, "the model has no sealed field", `tag at least one field with seal:"random" or seal:"deterministic", or do not register it`)
	}
	s.setIdentities(b, table, w.cols)
	b.addTable(table, w.cols)
	for _, rule := range w.rules {
		b.setScopes(table, rule)
	}
}

func (s modelSource) setIdentities(b *builder, table *Table, cols []Column) {
	if !s.hasIdentityTable {
		return
	}
	if s.identityTable == "" {
		b.fail(table, table.origin, "WithIdentityTable has an empty name", "give the table's former name, or remove the option")
		return
	}
	for i := range cols {
		for c := &cols[i]; c != nil; c = c.Was {
			if c.ID == "" && c.JoinGroup == "" {
				c.ID = s.identityTable + "." + cols[i].Name
			}
		}
	}
}

func structOf(model any) (reflect.Type, bool) {
	t := reflect.TypeOf(model)
	if t == nil {
		return nil, false
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct
}

// typeName and rootName name a model in errors and in Go paths. The text of an
// anonymous struct would hold all its fields and tags.
func typeName(t reflect.Type) string {
	if t.Name() == "" {
		return "struct{...}"
	}
	return t.String()
}

func rootName(t reflect.Type) string {
	if t.Name() == "" {
		return typeName(t)
	}
	return t.Name()
}

// tableName calls the model's TableName method, which may be declared on the
// value or on the pointer.
func tableName(t reflect.Type, model any) (name string, err *tagError) {
	const hint = "give Model the table's name"
	defer func() {
		if r := recover(); r != nil {
			// A method promoted from a nil embedded pointer, for instance.
			name, err = "", &tagError{"its TableName method panics", hint}
		}
	}()
	v := reflect.New(t)
	if m := reflect.ValueOf(model); m.Kind() == reflect.Struct {
		v.Elem().Set(m)
	} else if !m.IsNil() {
		v = m
	}
	tabler, ok := v.Interface().(interface{ TableName() string })
	if !ok {
		return "", &tagError{"the table has no name, and the model has no method TableName() string", hint}
	}
	if name = tabler.TableName(); name == "" {
		return "", &tagError{"its TableName method returns an empty name", hint}
	}
	return name, nil
}
