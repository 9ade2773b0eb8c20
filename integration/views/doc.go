// Package views tests what stands for a sealed table without being registered: views, partitions,
// inheritance children, rules and routines that somebody else makes, or the program itself while
// it runs.
package views
