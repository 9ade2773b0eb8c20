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

// harmlessPragmas may be set: they change where, when and how fast SQLite works, what it
// checks, or numbers that it only keeps. Among the others are writable_schema and
// schema_version, which corrupt a database; ignore_check_constraints, which lets a trigger
// store plaintext; trusted_schema, which lets a view call any function; short_column_names
// and the like, which rename result columns; count_changes, which gives a write a result.
var harmlessPragmas = map[string]bool{
	"analysis_limit": true, "application_id": true, "auto_vacuum": true, "automatic_index": true,
	"busy_timeout": true, "cache_size": true, "cache_spill": true, "case_sensitive_like": true,
	"cell_size_check": true, "checkpoint_fullfsync": true, "defer_foreign_keys": true, "encoding": true,
	"foreign_keys": true, "fullfsync": true, "hard_heap_limit": true, "journal_mode": true,
	"journal_size_limit": true, "locking_mode": true, "max_page_count": true, "mmap_size": true,
	"page_size": true, "query_only": true, "read_uncommitted": true, "recursive_triggers": true,
	"reverse_unordered_selects": true, "secure_delete": true, "soft_heap_limit": true, "synchronous": true,
	"temp_store": true, "threads": true, "user_version": true, "wal_autocheckpoint": true,
}

// pragma lowers PRAGMA. One that is set may change tables of the connection: temp_store
// drops the temporary ones. The table in "table_info(users)" is only asked about.
func (l *lowerer) pragma(n *ast.PragmaStmt) sqlparse.Stmt {
	name := ident(n.Name.Name)
	sets := n.HasValue && !askingPragmas[name]
	out := &sqlparse.Utility{At: at(n), What: "PRAGMA", Session: sets, Catalog: sets}
	switch {
	case !sets || harmlessPragmas[name]:
	case (name == "writable_schema" || name == "trusted_schema") && off(n.Value):
	default:
		out.Forbidden = "this PRAGMA may change what names and results mean, or damage the database"
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
