// Package dbcheck holds what dbcheck.Run, explain.Query and the statements of internal/ddl promise of a
// live PostgreSQL server: what they name, they find and refuse; a clean database has no findings.
package dbcheck
