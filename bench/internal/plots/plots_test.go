package plots

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func chart() Chart {
	zero, hundred := 0.0, 100.0
	return Chart{Title: "A title", XLabel: "minutes", YLabel: "share", YMin: &zero, YMax: &hundred, Points: true, Shade: &[2]float64{2, 3},
		Lines: []Line{{Name: "first line", X: []float64{1, 2, 4}, Y: []float64{10, 20, 40}}, {Name: "second line", X: []float64{1, 4}, Y: []float64{5, 6}}}}
}

func TestSaveSVG(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.svg")
	c := chart()
	c.LogX = true
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "A title", "first line", "second line", "minutes", "share"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the picture", want)
		}
	}
}

func TestSavePNG(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.png")
	if err := chart().Save(path); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); !bytes.HasPrefix(text, []byte("\x89PNG")) {
		t.Error("not a PNG")
	}
}

func TestSaveUnknownFormat(t *testing.T) {
	if err := chart().Save(filepath.Join(t.TempDir(), "p.nothing")); err == nil {
		t.Error("no error")
	}
}

func TestTop(t *testing.T) {
	c := chart()
	if c.top() != 100 {
		t.Errorf("with a maximum: %v", c.top())
	}
	c.YMax = nil
	if c.top() != 40 {
		t.Errorf("without one: %v", c.top())
	}
}
