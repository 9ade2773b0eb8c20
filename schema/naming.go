package schema

import (
	"fmt"
	"reflect"
	"strings"
)

// initialisms are GORM's, in GORM's order: where one starts another (HTTP and
// HTTPS, UID and UI), the first in the list wins.
var initialisms = []string{"API", "ASCII", "CPU", "CSS", "DNS", "EOF", "GUID", "HTML", "HTTP", "HTTPS", "ID", "IP", "JSON", "LHS", "QPS", "RAM", "RHS",
	"RPC", "SLA", "SMTP", "SSH", "TLS", "TTL", "UID", "UI", "UUID", "URI", "URL", "UTF8", "VM", "XML", "XSRF", "XSS"}

var initialismReplacer = newInitialismReplacer()

func newInitialismReplacer() *strings.Replacer {
	var pairs []string
	for _, s := range initialisms {
		pairs = append(pairs, s, s[:1]+strings.ToLower(s[1:]))
	}
	return strings.NewReplacer(pairs...)
}

// SnakeCase returns the default column name of a Go field: the one that GORM's
// NamingStrategy gives, oddities included. First the initialisms that GORM
// knows (API, HTTP, ID, URL, UUID …) become words, the leftmost first and the
// shorter of HTTP and HTTPS: UserID becomes UserId. Then each ASCII upper-case
// letter becomes lower-case and has an underscore put before it, except at the
// start, beside an underscore, and inside or at the end of a run of upper-case
// letters: UserID is user_id, HTTPServer is http_server, APIKey is api_key,
// SSN is ssn, SSNHash is ssn_hash.
func SnakeCase(field string) string {
	if field == "" {
		return ""
	}
	value := initialismReplacer.Replace(field)
	isUpper := func(i int) bool { return value[i] >= 'A' && value[i] <= 'Z' }
	isDigit := func(i int) bool { return value[i] >= '0' && value[i] <= '9' }
	const toLower = 'a' - 'A'
	var b strings.Builder
	// As in GORM, the cases are those of bytes but the steps are runes, so a
	// letter after a letter beyond ASCII never counts as upper-case.
	last := len(value) - 1
	upper, afterUpper := isUpper(0), false
	for i, r := range value[:last] {
		switch {
		case !upper:
			b.WriteRune(r)
		case afterUpper && (isUpper(i+1) || isDigit(i+1)):
			b.WriteRune(r + toLower)
		default:
			if i > 0 && value[i-1] != '_' && value[i+1] != '_' {
				b.WriteByte('_')
			}
			b.WriteRune(r + toLower)
		}
		upper, afterUpper = isUpper(i+1), upper
	}
	if !upper {
		b.WriteByte(value[last])
		return b.String()
	}
	if !afterUpper && len(value) > 1 {
		b.WriteByte('_')
	}
	b.WriteByte(value[last] + toLower)
	return b.String()
}

// bunUnderscore is bun's default name of a field: no initialisms are known,
// and an upper-case letter starts a word when a lower-case one is beside it.
func bunUnderscore(field string) string {
	upper := func(i int) bool { return field[i] >= 'A' && field[i] <= 'Z' }
	lower := func(i int) bool { return field[i] >= 'a' && field[i] <= 'z' }
	var b strings.Builder
	for i := range len(field) {
		if !upper(i) {
			b.WriteByte(field[i])
			continue
		}
		if i > 0 && i+1 < len(field) && (lower(i-1) || lower(i+1)) {
			b.WriteByte('_')
		}
		b.WriteByte(field[i] + 'a' - 'A')
	}
	return b.String()
}

// naming is how the fields of one struct get their columns.
type naming struct {
	prefix  string                    // of gorm's embeddedPrefix and bun's embed
	unnamed string                    // when not empty: why the fields beneath have no column that could be known
	bun     bool                      // bun reads the struct
	gorm    bool                      // GORM reads the struct
	custom  func(field string) string // WithColumnNames
}

// column names the column of a field that has a seal tag.
func (n naming) column(f reflect.StructField, t sealTag) (string, *tagError) {
	if t.name != "" {
		return t.name, nil
	}
	if n.unnamed != "" {
		return "", &tagError{n.unnamed, "name the column with name= in the seal tag"}
	}
	name, err := taggedName(f.Tag)
	if err != nil {
		return "", err
	}
	if name == "" {
		if name, err = n.fallback(f.Name); err != nil {
			return "", err
		}
	}
	return n.prefix + name, nil
}

// fallback returns the column of a field that no tag names.
func (n naming) fallback(field string) (string, *tagError) {
	const hint = "name the column with name= in the seal tag"
	snake := SnakeCase(field)
	switch {
	case n.custom != nil:
		name := n.custom(field)
		if name == "" {
			return "", &tagError{"WithColumnNames gives it no name", hint}
		}
		return name, nil
	case n.bun && n.gorm && snake != bunUnderscore(field):
		return "", &tagError{fmt.Sprintf("GORM calls its column %s, and bun calls it %s", snake, bunUnderscore(field)), hint}
	case n.bun && !n.gorm:
		return bunUnderscore(field), nil
	}
	return snake, nil
}

// within returns the naming of the fields of struct t, which stands in one with
// naming n.
func (n naming) within(t reflect.Type) naming {
	for i := range t.NumField() {
		f := t.Field(i)
		_, gormTag := f.Tag.Lookup("gorm")
		_, bunTag := f.Tag.Lookup("bun")
		n.gorm = n.gorm || gormTag
		n.bun = n.bun || bunTag || f.Anonymous && f.Name == "BaseModel" && strings.HasPrefix(f.Type.PkgPath(), "github.com/uptrace/bun")
	}
	return n
}

// taggedName returns the column that the tags of sqlx, GORM and bun name, in this
// order; "" when none does.
func taggedName(tag reflect.StructTag) (string, *tagError) {
	if key := excludedBy(tag); key != "" {
		return "", &tagError{key + `:"-" says that the field is no column`, "remove one of the two tags, or name the column with name="}
	}
	if name, _, _ := strings.Cut(tag.Get("db"), ","); name != "" {
		return name, nil
	}
	if name := gormSettings(tag)["COLUMN"]; name != "" {
		return name, nil
	}
	return bunName(tag.Get("bun")), nil
}

// excludedBy returns the tag key that says a field is no column, if the tags
// that stand before it do not name one.
func excludedBy(tag reflect.StructTag) string {
	name, _, _ := strings.Cut(tag.Get("db"), ",")
	if name == "-" {
		return "db"
	}
	if name != "" {
		return ""
	}
	settings := gormSettings(tag)
	if settings["COLUMN"] != "" {
		return ""
	}
	if v, ok := settings["-"]; ok {
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "-", "all":
			return "gorm"
		}
	}
	if tag.Get("bun") == "-" {
		return "bun"
	}
	return ""
}

// gormSettings reads a gorm tag as GORM does: settings between semicolons,
// which a backslash escapes, with keys in any case. A key without a value has
// itself as its value.
func gormSettings(tag reflect.StructTag) map[string]string {
	settings := map[string]string{}
	parts := strings.Split(tag.Get("gorm"), ";")
	for i := 0; i < len(parts); i++ {
		s := parts[i]
		for strings.HasSuffix(s, `\`) && i+1 < len(parts) {
			i++
			s = s[:len(s)-1] + ";" + parts[i]
		}
		key, value, hasValue := strings.Cut(s, ":")
		key = strings.ToUpper(strings.TrimSpace(key))
		switch {
		case hasValue:
			settings[key] = strings.ReplaceAll(value, `\"`, `"`)
		case key != "":
			settings[key] = key
		}
	}
	return settings
}

// bunName returns the column of a bun tag: that of column:, else its first part,
// unless that is an option with a value, such as type:jsonb.
func bunName(tag string) string {
	if name, ok := bunOption(tag, "column"); ok {
		return name
	}
	name, _, _ := strings.Cut(tag, ",")
	if strings.Contains(name, ":") {
		return ""
	}
	return strings.Trim(name, `"`)
}

// bunOption returns the value of an option of a bun tag.
func bunOption(tag, key string) (string, bool) {
	for i, part := range strings.Split(tag, ",") {
		k, v, hasValue := strings.Cut(part, ":")
		if k == key && (hasValue || i > 0) {
			return v, true
		}
	}
	return "", false
}
