// Package plain has no SQL.
package plain

import "strings"

func use() string { return strings.ToUpper("select ssn from users order by born") }
