// Package shows says what the cells of a column show to whoever reads the database, by the column's
// tag. The threat model, the pages about tags and colseal explain take it from here.
package shows

import (
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/schema"
)

// Row is what one mode of the tag shows, or what an option adds to it.
type Row struct {
	Tag     string // as a page names it
	AtRest  string // for cryptographers
	Words   string // for everybody else
	Attacks string // that are known; "" if there are none
	has     func(*schema.Column) bool
}

var rows = []Row{
	{"`random`", "length, key id", "nothing but the length", "",
		func(c *schema.Column) bool { return c.Mode == schema.ModeRandomized && c.Terms == (codec.Terms{}) }},
	{"`deterministic`, with `cursor` or not", "equality", "which rows are equal, and how often",
		"frequency analysis (Naveed, Kamara, Wright, CCS 2015)",
		func(c *schema.Column) bool { return c.Mode == schema.ModeDeterministic }},
	{"`equal`", "equality", "which rows are equal, and how often", "frequency analysis", func(c *schema.Column) bool { return c.Terms.Equal }},
	{"`fold`", "equality in lower case", "which rows are equal but for case, and how often", "frequency analysis",
		func(c *schema.Column) bool { return c.Terms.Fold }},
	{"`prefix=`, `suffix=`", "the tree of the beginnings, or ends, of MIN to MAX characters, with counts", "which rows begin or end alike, and how often, for each length",
		"frequency analysis, one length after the other",
		func(c *schema.Column) bool { return c.Terms.Prefix.Max+c.Terms.Suffix.Max > 0 }},
	{"`elements`", "equality of members, and their number", "which rows share members, how often, and how many members each has", "frequency analysis",
		func(c *schema.Column) bool { return c.Terms.Elements }},
	{"`ordered`", "equality, order, the first differing bit of each two", "the order of the rows, and about how far apart their values are. Dense values (ages, days of a year): everything",
		"sorting, cumulative (Naveed and others); Grubbs and others, S&P 2017; Durak, DuBuisson, Cash, CCS 2016",
		func(c *schema.Column) bool { return c.Mode == schema.ModeOrdered }},
	{"`stage=copy`, `stage=sealed`", "the values", "everything, in the plain column beside the cells", "",
		func(c *schema.Column) bool {
			return c.Was == nil && (c.Stage == schema.StageCopy || c.Stage == schema.StageSealed)
		}},
}

// search is what a search shows beyond the column.
var search = Row{"any search, in the server's memory and log", "cells or tokens asked for, rows found", "which rows are found together", "Grubbs, Ristenpart, Shmatikov, HotOS 2017", nil}

// Table returns all rows, and what searches show.
func Table() []Row { return append(rows[:len(rows):len(rows)], search) }

// Of returns the rows that hold for a column, and for what it was before.
func Of(c *schema.Column) []Row {
	var of []Row
	for _, r := range rows {
		if r.has(c) || c.Was != nil && r.has(c.Was) {
			of = append(of, r)
		}
	}
	return of
}
