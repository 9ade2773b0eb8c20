package vet

import (
	"bytes"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// directive silences a report. It must say why.
const directive = "//colseal:ignore"

// line is one of a file.
type line struct {
	file string
	n    int
}

// ignoredLines finds the lines that a directive is for: its own, or the next if it stands alone.
// One without a reason is reported.
func ignoredLines(pass *analysis.Pass) map[line]bool {
	ignored := map[line]bool{}
	for _, f := range pass.Files {
		for _, g := range f.Comments {
			for _, comment := range g.List {
				why, ok := strings.CutPrefix(comment.Text, directive)
				if !ok || why != "" && why[0] != ' ' && why[0] != '\t' {
					continue
				}
				if strings.TrimSpace(why) == "" {
					pass.Reportf(comment.Pos(), "%s needs a reason: write %s because ...", directive, directive)
					continue
				}
				p := pass.Fset.Position(comment.Pos())
				if alone(pass, comment.Pos()) {
					p.Line++
				}
				ignored[line{p.Filename, p.Line}] = true
			}
		}
	}
	return ignored
}

func (c *checker) silenced(pos token.Pos) bool {
	p := c.pass.Fset.Position(pos)
	return c.ignored[line{p.Filename, p.Line}]
}

// alone reports whether nothing stands before a comment on its line.
func alone(pass *analysis.Pass, pos token.Pos) bool {
	f := pass.Fset.File(pos)
	src, err := pass.ReadFile(f.Name())
	end := f.Offset(pos)
	if err != nil || end > len(src) {
		return false
	}
	start := bytes.LastIndexByte(src[:end], '\n') + 1
	return len(bytes.TrimSpace(src[start:end])) == 0
}
