// Package files has a text that package embedded sends.
package files

import _ "embed"

//go:embed longest.sql
var Longest string
