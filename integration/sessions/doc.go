// Package sessions tests what a session's statements make of each other: search paths, transactions ended by text, temporary
// tables, prepared statements, cursors, and functions that set what names mean. Every sequence runs on a sealed database and on a
// plaintext twin.
package sessions
