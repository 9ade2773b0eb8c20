package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// walker gathers the sealed columns of one model.
type walker struct {
	b     *builder
	table *Table
	root  reflect.Type
	stack []reflect.Type // the structs being walked, outermost first
	cols  []Column
	rules []ScopeRule // that blank fields say
}

func (w *walker) fail(path string, err *tagError) {
	w.b.fail(w.table, origin{strct: typeName(w.root), field: path}, err.reason, err.hint)
}

// walk visits the fields of struct t, which stands at a Go path.
func (w *walker) walk(t reflect.Type, path string, n naming) {
	if slices.Contains(w.stack, t) {
		w.fail(path, &tagError{"struct " + t.String() + " embeds itself, so its columns have no end",
			`break the chain, or tag the field seal:"-"`})
		return
	}
	w.stack = append(w.stack, t)
	defer func() { w.stack = w.stack[:len(w.stack)-1] }()
	n = n.within(t)
	for i := range t.NumField() {
		f := t.Field(i)
		fieldPath := path + "." + f.Name
		value, found, err := lookupSeal(f.Tag)
		if err != nil {
			w.fail(fieldPath, err)
			continue
		}
		if !found {
			w.plain(f, fieldPath, n)
			continue
		}
		if rule, ok := parseScopes(value); ok && f.Name == "_" && value != "" {
			w.rules = append(w.rules, rule)
			continue
		}
		tag, err := parseSealTag(value)
		if err == nil && !tag.skip {
			err = w.sealed(f, fieldPath, tag, n)
		}
		if err != nil {
			w.fail(fieldPath, err)
		}
	}
}

// sealed adds the column of a field that has a seal tag.
func (w *walker) sealed(f reflect.StructField, path string, tag sealTag, n naming) *tagError {
	if !f.IsExported() {
		return &tagError{"the field is not exported, so nothing can be written from it or read into it", "export it, or remove the seal tag"}
	}
	name, err := n.column(f, tag)
	if err != nil {
		return err
	}
	kind, err := kindOf(f, tag.kind)
	if err != nil {
		return err
	}
	c := tag.column(name, kind)
	c.origin = origin{strct: typeName(w.root), field: path}
	if c.Was, err = wasOf(f, name); err != nil {
		return err
	}
	w.cols = append(w.cols, c)
	return nil
}

// column returns the column that a tag declares.
func (t *sealTag) column(name string, kind Kind) Column {
	return Column{Name: name, Mode: t.mode, Kind: kind, ID: t.id, JoinGroup: t.join, Min: t.min, Max: t.max, Step: t.step, Cursor: t.cursor, Terms: t.terms, Inbox: t.inbox, Stage: t.stage, Stored: t.stored}
}

// wasOf returns what the field's was tag says of how its column was sealed before; nil for none.
func wasOf(f reflect.StructField, name string) (*Column, *tagError) {
	value, ok := f.Tag.Lookup("was")
	if !ok {
		return nil, nil
	}
	tag, err := parseSealTag(value)
	switch {
	case err != nil:
		return nil, &tagError{"in the was tag: " + err.reason, err.hint}
	case tag.skip:
		return nil, &tagError{`the was tag is "-"`, "write the seal tag that the field had, or remove it"}
	case tag.name != "" && tag.name != name:
		return nil, &tagError{"the was tag names another column", "a column that is renamed keeps its identity by id="}
	}
	kind, err := kindOf(f, tag.kind)
	if err != nil {
		return nil, err
	}
	was := tag.column(name, kind)
	return &was, nil
}

// plain looks at a field without a seal tag: sealed fields may stand beneath.
func (w *walker) plain(f reflect.StructField, path string, n naming) {
	if !mentionsSeal(f.Type, nil) {
		return
	}
	t := deref(f.Type)
	embedded, n, err := embedding(f, n)
	switch {
	case err != nil:
		w.fail(path, err)
	case !embedded || t.Kind() != reflect.Struct:
		w.b.owners = append(w.b.owners, pendingOwner{w.table, origin{typeName(w.root), path}, f})
	case !f.IsExported() && (!f.Anonymous || f.Type.Kind() == reflect.Pointer):
		w.fail(path, &tagError{"it has sealed fields, and a field that is not exported cannot be set", "export the field"})
	default:
		w.walk(t, path, n)
	}
}

// embedding says whether the fields of f's struct are columns of the struct
// around it, and how they are then named.
func embedding(f reflect.StructField, n naming) (bool, naming, *tagError) {
	if key := excludedBy(f.Tag); key != "" {
		return false, n, &tagError{key + `:"-" says that it is no column, and its struct has sealed fields`, `remove one of the two, or add seal:"-" to the field`}
	}
	settings := gormSettings(f.Tag)
	_, byGorm := settings["EMBEDDED"]
	if prefix, ok := settings["EMBEDDEDPREFIX"]; ok && (byGorm || f.Anonymous) {
		n.prefix += prefix
		return true, n, nil
	}
	if byGorm {
		return true, n, nil
	}
	if prefix, ok := bunOption(f.Tag.Get("bun"), "embed"); ok && !f.Anonymous {
		n.prefix += prefix
		return true, n, nil
	}
	if !f.Anonymous {
		return false, n, nil
	}
	if isOpaque(f.Type) {
		return false, n, &tagError{"its type converts itself (driver.Valuer or sql.Scanner), so it is one column, and yet has sealed fields",
			"seal the embedded field itself with kind=, or remove the methods"}
	}
	if name, _, _ := strings.Cut(f.Tag.Get("db"), ","); name != "" {
		n.unnamed = fmt.Sprintf("it stands in an embedded struct tagged db:%q, whose fields sqlx reads from columns such as %q", name, name+"....")
	}
	return true, n, nil
}

// pendingOwner is a field that is not embedded and whose type has sealed
// fields. They are columns of other tables, if these are registered.
type pendingOwner struct {
	table *Table
	at    origin
	field reflect.StructField
}

// checkOwners reports sealed fields that no table of this New has.
func (b *builder) checkOwners() {
	for _, o := range b.owners {
		if t := unregistered(o.field.Type, b.models, nil); t != nil {
			b.fail(o.table, o.at, "struct "+typeName(t)+" has sealed fields, and is neither embedded here nor a Model of its own",
				fmt.Sprintf(`register schema.Model("...", %s{}), embed it (gorm:"embedded", bun:"embed:" or as an anonymous field), or tag the field seal:"-"`, typeName(t)))
		}
	}
}

func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// element returns the type that a field's values are made of.
func element(t reflect.Type) reflect.Type {
	for {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			t = t.Elem()
		default:
			return t
		}
	}
}

// mentionsSeal says whether a struct within t has a seal tag, or what may be a
// broken one.
func mentionsSeal(t reflect.Type, seen map[reflect.Type]bool) bool {
	found := false
	visitStructs(t, seen, func(s reflect.Type) bool {
		found = found || hasOwnSeal(s)
		return !found
	})
	return found
}

// unregistered finds a struct within t that has seal tags and is not a model.
func unregistered(t reflect.Type, models map[reflect.Type]bool, seen map[reflect.Type]bool) reflect.Type {
	var found reflect.Type
	visitStructs(t, seen, func(s reflect.Type) bool {
		if models[s] {
			return false // its own walk sees to what is beneath
		}
		if found == nil && hasOwnSeal(s) {
			found = s
		}
		return found == nil
	})
	return found
}

// visitStructs calls visit for the structs within t, each once, and goes
// beneath one when visit says so and the field is not tagged seal:"-".
func visitStructs(t reflect.Type, seen map[reflect.Type]bool, visit func(reflect.Type) bool) {
	t = element(t)
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	if seen == nil {
		seen = map[reflect.Type]bool{}
	}
	seen[t] = true
	if !visit(t) {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if value, found, _ := lookupSeal(f.Tag); found && value == "-" {
			continue
		}
		visitStructs(f.Type, seen, visit)
	}
}

func hasOwnSeal(t reflect.Type) bool {
	for i := range t.NumField() {
		value, found, err := lookupSeal(t.Field(i).Tag)
		if err != nil || found && value != "-" {
			return true
		}
	}
	return false
}
