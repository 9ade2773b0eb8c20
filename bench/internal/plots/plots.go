// Package plots draws the bench program's plots.
package plots

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	_ "gonum.org/v1/plot/vg/vgimg" // PNG
	_ "gonum.org/v1/plot/vg/vgsvg" // SVG
)

// A Line is one line of a plot.
type Line struct {
	Name string
	X, Y []float64
}

// A Chart is a plot of lines.
type Chart struct {
	Title, XLabel, YLabel string
	LogX, LogY            bool // logarithmic: values must be positive
	YMin, YMax            *float64
	Points                bool // mark the measured points
	Lines                 []Line
	Shade                 *[2]float64 // a span of X to shade
}

// The size of a picture.
const (
	width  = 16 * vg.Centimeter
	height = 9 * vg.Centimeter
)

// Save draws the chart to a file, as SVG or PNG by its name.
func (c Chart) Save(path string) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.Title, c.XLabel, c.YLabel
	p.Title.Padding = vg.Points(6)
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	if c.Shade != nil {
		if err := shade(p, *c.Shade, c.top()); err != nil {
			return err
		}
	}
	for i, line := range c.Lines {
		points := make(plotter.XYs, len(line.X))
		for j := range line.X {
			points[j].X, points[j].Y = line.X[j], line.Y[j]
		}
		l, s, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		l.Color, s.Color = plotutil.Color(i), plotutil.Color(i)
		l.Width, s.Shape, s.Radius = vg.Points(1.5), plotutil.Shape(i), vg.Points(2.5)
		p.Add(l)
		if c.Points {
			p.Add(s)
			p.Legend.Add(line.Name, l, s)
			continue
		}
		p.Legend.Add(line.Name, l)
	}
	c.axes(p)
	return p.Save(width, height, path)
}

func (c Chart) axes(p *plot.Plot) {
	if c.LogX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	if c.LogY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	if c.YMin != nil {
		p.Y.Min = *c.YMin
	}
	if c.YMax != nil {
		p.Y.Max = *c.YMax
	}
}

func (c Chart) top() float64 {
	top := 0.0
	for _, l := range c.Lines {
		for _, y := range l.Y {
			top = max(top, y)
		}
	}
	if c.YMax != nil {
		top = *c.YMax
	}
	return top
}

// shade marks a span of the X axis, up to top.
func shade(p *plot.Plot, span [2]float64, top float64) error {
	area, err := plotter.NewPolygon(plotter.XYs{{X: span[0], Y: 0}, {X: span[1], Y: 0}, {X: span[1], Y: top}, {X: span[0], Y: top}})
	if err != nil {
		return err
	}
	area.Color = color.RGBA{R: 0xee, G: 0xdd, B: 0xdd, A: 0xff}
	area.LineStyle.Width = 0
	p.Add(area)
	return nil
}
