// Package shapes holds what SQL does through Colseal against what it does without:
// every statement runs on sealed tables through the driver, and on twins of them with
// plaintext columns through pgx alone. Rows, errors and what the tables hold afterwards
// must be the same, or the statement must be refused; and nothing that was written into a
// sealed column may be among the bytes that went to the server.
package shapes
