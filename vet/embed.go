package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// embeds are the files that a package embeds.
type embeds struct {
	pass   *analysis.Pass
	files  map[types.Object]*sqlFile // variables of type string or []byte
	trees  map[types.Object]tree     // variables of type embed.FS
	opened map[string]*sqlFile
}

// tree is what an embed.FS holds.
type tree struct {
	dir      string // of the package
	patterns []string
}

// sqlFile is a file of the package that is no Go code.
type sqlFile struct {
	name  string
	value string
	pos   token.Pos // of its first byte
	used  bool      // its text is known to be read
}

// text returns the whole file.
func (f *sqlFile) text() text {
	f.used = true
	return text{f.value, []piece{{pos: f.pos}}}
}

const embedDirective = "//go:embed "

func embedsOf(pass *analysis.Pass) embeds {
	m := embeds{pass: pass, files: map[types.Object]*sqlFile{}, trees: map[types.Object]tree{}, opened: map[string]*sqlFile{}}
	for _, f := range pass.Files {
		dir := filepath.Dir(pass.Fset.File(f.FileStart).Name())
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				spec := s.(*ast.ValueSpec)
				doc := spec.Doc
				if doc == nil {
					doc = g.Doc
				}
				if patterns := embedPatterns(doc); len(patterns) > 0 && len(spec.Names) == 1 {
					m.add(pass.TypesInfo.Defs[spec.Names[0]], dir, patterns)
				}
			}
		}
	}
	return m
}

func embedPatterns(doc *ast.CommentGroup) (patterns []string) {
	if doc == nil {
		return nil
	}
	for _, c := range doc.List {
		rest, ok := strings.CutPrefix(c.Text, embedDirective)
		for rest = strings.TrimSpace(rest); ok && rest != ""; rest = strings.TrimSpace(rest) {
			word := strings.Fields(rest)[0]
			if quoted, err := strconv.QuotedPrefix(rest); err == nil {
				word = quoted
			}
			rest = rest[len(word):]
			if unquoted, err := strconv.Unquote(word); err == nil {
				word = unquoted
			}
			patterns = append(patterns, strings.TrimPrefix(word, "all:"))
		}
	}
	return patterns
}

func (m embeds) add(o types.Object, dir string, patterns []string) {
	if !isText(o.Type()) {
		m.trees[o] = tree{dir, patterns}
		return
	}
	names, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(patterns[0])))
	if err != nil || len(names) != 1 {
		return // the compiler complains
	}
	if f, err := m.read(names[0]); err == nil {
		m.files[o] = f
	}
}

// read opens a file, and gives it positions.
func (m embeds) read(name string) (*sqlFile, error) {
	if f := m.opened[name]; f != nil {
		return f, nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	lines := m.pass.Fset.AddFile(name, -1, len(content))
	lines.SetLinesForContent(content)
	f := &sqlFile{name: name, value: string(content), pos: lines.Pos(0)}
	m.opened[name] = f
	return f, nil
}

// sql lists the files of SQL that a tree holds.
func (t tree) sql() (names []string) {
	for _, p := range t.patterns {
		found, _ := filepath.Glob(filepath.Join(t.dir, filepath.FromSlash(p))) // the compiler has read the patterns
		for _, name := range found {
			_ = filepath.WalkDir(name, func(name string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() && strings.EqualFold(path.Ext(name), ".sql") {
					names = append(names, name)
				}
				return nil
			})
		}
	}
	return names
}

// fileRead evaluates the first result of ReadFile on an embedded tree; nil if it is another call.
func (v *values) fileRead(call *ast.CallExpr) texts {
	fun, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok || fun.Sel.Name != "ReadFile" || len(call.Args) == 0 {
		return nil
	}
	from, arg := fun.X, call.Args[0]
	if len(call.Args) == 2 { // fs.ReadFile(tree, name)
		from, arg = call.Args[0], call.Args[1]
	}
	id, ok := ast.Unparen(from).(*ast.Ident)
	if !ok {
		return nil
	}
	t, ok := v.embeds.trees[v.info.Uses[id]]
	if !ok {
		return nil
	}
	var all texts
	for _, name := range v.texts(arg) {
		if !name.isConstant() {
			return nil
		}
		f, err := v.embeds.read(filepath.Join(t.dir, filepath.FromSlash(name.value)))
		if err != nil {
			return nil
		}
		all = all.join(texts{f.text()})
	}
	return all
}
