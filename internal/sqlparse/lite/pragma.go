package lite

import (
	"strings"

	"github.com/sqlc-dev/meyer/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// askingPragmas only answer, also when they are given a value.
var askingPragmas = map[string]bool{
	"collation_list": true, "compile_options": true, "data_version": true, "database_list": true,
	"foreign_key_check": true, "foreign_key_list": true, "freelist_count": true, "function_list": true,
	"index_info": true, "index_list": true, "index_xinfo": true, "integrity_check": true,
	"module_list": true, "page_count": true, "pragma_list": true, "quick_check": true, "stats": true,
	"table_info": true, "table_list": true, "table_xinfo": true,
	"incremental_vacuum": true, "optimize": true, "shrink_memory": true, "wal_checkpoint": true,
}

// pragma lowers PRAGMA. One that is set may change anything about the connection,
// tables among it (temp_store drops the temporary ones). The table in
// "table_info(users)" is only asked about.
func (l *lowerer) pragma(n *ast.PragmaStmt) sqlparse.Stmt {
	name := ident(n.Name.Name)
	sets := n.HasValue && !askingPragmas[name]
	out := &sqlparse.Utility{At: at(n), What: "PRAGMA", Session: sets, Catalog: sets}
	if name == "writable_schema" && n.HasValue && !off(n.Value) {
		out.Forbidden = "PRAGMA writable_schema lets tables be changed unseen"
	}
	return out
}

// off reports whether a pragma's value switches it off.
func off(value string) bool {
	switch fold(strings.Trim(value, "'\"`[]")) {
	case "0", "off", "no", "false", "reset":
		return true
	}
	return false
}
