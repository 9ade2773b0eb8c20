// Package shapes holds what SQL does through Colseal against what it does without:
// every statement runs on sealed tables through the driver, and on twins of them with
// plaintext columns through pgx alone. Rows, errors and what the tables hold afterwards
// must be the same, or the statement must be refused; and nothing that was written into a
// sealed column may be among the bytes that went to the server, or in its log, its tables
// and its files.
//
// There is a list of shapes, which is also the support table of docs/sql*.md, and there are
// random statements, other ones in each run. A random statement that fails is made smaller
// before it is shown. Each run prints its seed and the shares of what works, is refused and
// fails (go test -v):
//
//	COLSEAL_SHAPES_SEED   repeats the run of that seed
//	COLSEAL_SHAPES_LITERALS=all  tries every literal with every cast in every place, not one in eight
//	COLSEAL_SHAPES_COUNT  is how many statements there are for each version of the server
package shapes
