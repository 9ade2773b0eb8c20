package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/colseal/colseal/codec"
)

// jsonVersion is the number of the JSON form; it changes when a reader of the
// old form would misread the new one.
const jsonVersion = 1

type jsonSchema struct {
	Version int         `json:"version"`
	Tables  []jsonTable `json:"tables"`
	Plain   []jsonPlain `json:"plain,omitempty"`

	Functions []jsonFunction `json:"functions,omitempty"`
}

type jsonRelation struct {
	Schema string `json:"schema,omitempty"`
	Name   string `json:"name"`
}

// jsonPlain is a table that Plain excludes.
type jsonPlain struct{ jsonRelation }

func (t jsonPlain) addTo(b *builder) { Plain(relationText(t.Schema, t.Name)).addTo(b) }

// jsonFunction is a function that Functions lists.
type jsonFunction struct {
	jsonRelation
	Reason string `json:"reason"`
}

func (f jsonFunction) addTo(b *builder) {
	Functions(f.Reason, relationText(f.Schema, f.Name)).addTo(b)
}

type jsonTable struct {
	jsonRelation
	ViewOf  *jsonRelation `json:"view_of,omitempty"`
	Renamed []jsonRenamed `json:"renamed,omitempty"`
	Scopes  string        `json:"scopes,omitempty"`
	Columns []jsonColumn  `json:"columns,omitempty"`
}

// jsonRenamed is a column of a view under another name than that of the relation beneath.
type jsonRenamed struct {
	Column string `json:"column"`
	As     string `json:"as"`
}

type jsonColumn struct {
	Name      string `json:"name"`
	Mode      string `json:"mode"`
	Kind      string `json:"kind"`
	Min       string `json:"min,omitempty"`
	Max       string `json:"max,omitempty"`
	Step      string `json:"step,omitempty"`
	Cursor    bool   `json:"cursor,omitempty"`
	Identity  string `json:"identity,omitempty"`
	JoinGroup string `json:"join_group,omitempty"`
	Terms     string `json:"terms,omitempty"`
	Inbox     bool   `json:"inbox,omitempty"`
	Tag       string `json:"tag,omitempty"`
	Stage     string `json:"stage,omitempty"`
	Stored    string `json:"stored,omitempty"`

	Was *jsonColumn `json:"was,omitempty"` // without a name
}

// MarshalJSON writes the schema in a stable form: the same schema is always the same bytes.
// [ParseJSON] reads it.
//
//	{"version":1,"tables":[
//	  {"schema":"app","name":"users","columns":[
//	    {"name":"email","mode":"deterministic","kind":"text","identity":"app.users.email","tag":"48a3"}]},
//	  {"name":"user_names","view_of":{"schema":"app","name":"users"}}]}
//
// Names are those of the catalog, without quotes. identity is always written, so that a reader
// needs no rule for it. tag is four hex digits. These are absent if they do not apply: schema, for
// a table that was registered without one; scopes, "scoped" or "unscoped"; min, max, step, cursor,
// terms, inbox, join_group, stage and stored of a column; was, the column without a name whose
// options change; plain, the tables that [Plain] excludes; functions, those that [Functions] lists.
func (s *Schema) MarshalJSON() ([]byte, error) {
	out := jsonSchema{Version: jsonVersion, Tables: []jsonTable{}}
	for _, t := range s.Tables() {
		jt := jsonTable{jsonRelation: jsonRelation{t.Schema, t.Name}}
		if t.ViewOf != "" {
			schemaName, name, err := parseRelation(t.ViewOf)
			if err != nil {
				return nil, err
			}
			jt.ViewOf = &jsonRelation{schemaName, name}
			under := s.Lookup(schemaName, name)
			for i, c := range t.columns {
				if below := under.columns[i].Name; below != c.Name {
					jt.Renamed = append(jt.Renamed, jsonRenamed{below, c.Name})
				}
			}
			out.Tables = append(out.Tables, jt)
			continue
		}
		jt.Scopes = t.Scopes.String()
		for _, c := range t.columns {
			jc := c.json()
			jc.Name = c.Name
			jt.Columns = append(jt.Columns, *jc)
		}
		out.Tables = append(out.Tables, jt)
	}
	for _, t := range s.Excluded() {
		out.Plain = append(out.Plain, jsonPlain{jsonRelation{t.Schema, t.Name}})
	}
	for _, f := range s.Functions() {
		out.Functions = append(out.Functions, jsonFunction{jsonRelation{f.Schema, f.Name}, f.Reason})
	}
	return json.Marshal(out)
}

// json returns the JSON form of a column, but for its name.
func (c *Column) json() *jsonColumn {
	if c == nil {
		return nil
	}
	return &jsonColumn{Mode: c.Mode.String(), Kind: c.Kind.String(), Min: c.Min, Max: c.Max, Step: c.Step, Cursor: c.Cursor,
		Identity: c.identity, JoinGroup: c.JoinGroup, Terms: c.Terms.String(), Inbox: c.Inbox, Tag: fmt.Sprintf("%04x", c.tag),
		Stage: c.Stage.String(), Stored: c.Stored, Was: c.Was.json()}
}

// ParseJSON reads what [Schema.MarshalJSON] writes, and checks it as [New]
// does. identity and tag may be absent; where they are given they are checked
// against the rest. Unknown members are errors.
func ParseJSON(data []byte) (*Schema, error) {
	var in jsonSchema
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("schema: the JSON form cannot be read: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("schema: the JSON form is followed by something else")
	}
	if in.Version != jsonVersion {
		return nil, fmt.Errorf("schema: the JSON form has version %d, and this program reads version %d", in.Version, jsonVersion)
	}
	sources := make([]Source, len(in.Tables))
	for i, t := range in.Tables {
		sources[i] = t
	}
	for _, t := range in.Plain {
		sources = append(sources, t)
	}
	for _, f := range in.Functions {
		sources = append(sources, f)
	}
	return New(sources...)
}

func (t jsonTable) addTo(b *builder) {
	table := b.newTable(relationText(t.Schema, t.Name), origin{})
	if table == nil {
		return
	}
	switch {
	case t.ViewOf != nil && t.Scopes != "":
		b.fail(table, origin{}, "it has both view_of and scopes", "a view has the scopes of its table: remove scopes")
		return
	case t.ViewOf != nil && len(t.Columns) > 0:
		b.fail(table, origin{}, "it has both view_of and columns", "a view has the columns of its table: remove one of the two")
		return
	case t.ViewOf != nil:
		v := pendingView{view: table, of: relationText(t.ViewOf.Schema, t.ViewOf.Name)}
		for _, r := range t.Renamed {
			v.renamed = append(v.renamed, Renamed(r))
		}
		b.views = append(b.views, v)
		return
	case len(t.Columns) == 0:
		b.fail(table, origin{}, "it has no sealed columns", "give it at least one, or remove the table")
	}
	var cols []Column
	for _, jc := range t.Columns {
		if c, ok := jc.column(b, table); ok {
			cols = append(cols, c)
		}
	}
	b.addTable(table, cols)
	rule, ok := parseScopes(t.Scopes)
	if !ok {
		b.fail(table, origin{}, fmt.Sprintf("unknown scopes %q", t.Scopes), "write scoped or unscoped, or leave it out")
	}
	b.setScopes(table, rule)
}

// column returns the Column that a declaration of the same meaning would have had.
func (jc jsonColumn) column(b *builder, t *Table) (Column, bool) {
	c := Column{Name: jc.Name, JoinGroup: jc.JoinGroup, Inbox: jc.Inbox, Min: jc.Min, Max: jc.Max, Step: jc.Step, Cursor: jc.Cursor, Stored: jc.Stored, table: t.String()}
	before := len(b.errs)
	var ok bool
	if c.Stage, ok = ParseStage(jc.Stage); !ok && jc.Stage != "" {
		b.failColumn(&c, fmt.Sprintf("unknown stage %q", jc.Stage), didYouMean(jc.Stage, stageNames[1:]))
	}
	if c.Mode, ok = parseMode(jc.Mode); !ok {
		b.failColumn(&c, fmt.Sprintf("unknown mode %q", jc.Mode), didYouMean(jc.Mode, modeNames))
	}
	var err error
	if c.Kind, err = codec.ParseKind(jc.Kind); err != nil {
		b.failColumn(&c, fmt.Sprintf("unknown kind %q", jc.Kind), meantKind(jc.Kind))
	}
	if jc.Terms != "" {
		if c.Terms, err = codec.ParseTerms(jc.Terms); err != nil {
			b.failColumn(&c, fmt.Sprintf("bad terms %q", jc.Terms), "write them as MarshalJSON does: equal,fold,elements,prefix=3-8,suffix=3-8, what there is of these")
		}
	}
	if jc.Was != nil {
		was := *jc.Was
		was.Name = jc.Name
		if w, ok := was.column(b, t); ok {
			c.Was = &w
		}
	}
	derived := c
	derived.resolve(t)
	switch {
	case jc.Identity == "" || jc.Identity == derived.identity:
	case c.JoinGroup != "":
		b.failColumn(&c, fmt.Sprintf("identity %q is not that of join group %q", jc.Identity, c.JoinGroup), "remove identity, or join_group")
	default:
		c.ID = jc.Identity
		if jc.Terms != "" {
			c.ID = strings.TrimSuffix(c.ID, "#"+jc.Terms)
		}
		if c.Mode == ModeOrdered {
			c.ID, _ = codec.CutOrder(c.ID)
		}
		derived = c
		derived.resolve(t)
		if c.Mode == ModeOrdered && derived.identity != jc.Identity {
			b.failColumn(&c, fmt.Sprintf("identity %q does not end in the order of its kind and bounds", jc.Identity), "remove identity, or what follows #ord in it")
		}
	}
	if tag := fmt.Sprintf("%04x", derived.tag); jc.Tag != "" && jc.Tag != tag {
		b.failColumn(&c, fmt.Sprintf("tag %q is not that of identity %q", jc.Tag, derived.identity), "write "+tag+", or remove tag")
	}
	return c, len(b.errs) == before
}
