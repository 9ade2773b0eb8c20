package pg

import (
	"strings"

	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

func transaction(_ *lowering, n *ast.Node, u *sqlparse.Utility) {
	t := n.GetTransactionStmt()
	u.What = strings.ReplaceAll(strings.TrimPrefix(t.Kind.String(), "TRANS_STMT_"), "_", " ")
	switch t.Kind {
	case ast.TransactionStmtKind_TRANS_STMT_COMMIT, ast.TransactionStmtKind_TRANS_STMT_ROLLBACK,
		ast.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO, ast.TransactionStmtKind_TRANS_STMT_PREPARE:
		u.Ends = true
	case ast.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED, ast.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		u.Catalog = true
	}
}

func setVariable(_ *lowering, n *ast.Node, u *sqlparse.Utility) {
	s := n.GetVariableSetStmt()
	switch s.Kind {
	case ast.VariableSetKind_VAR_RESET, ast.VariableSetKind_VAR_RESET_ALL:
		u.What = "RESET"
	}
	u.Forbidden = forbidden(s)
	name := strings.ToLower(s.Name)
	u.Imports = name == "transaction snapshot"
	u.Bounded = harmlessSettings[name] || s.Kind == ast.VariableSetKind_VAR_SET_VALUE && judgedSettings[name]
}

// harmlessSettings are those that migrations set, of the settings that change no name's meaning.
var harmlessSettings = map[string]bool{
	"statement_timeout": true, "lock_timeout": true, "idle_in_transaction_session_timeout": true,
	"transaction_timeout": true, "client_min_messages": true, "check_function_bodies": true, "xmloption": true,
	"default_tablespace": true, "default_table_access_method": true, "default_toast_compression": true,
	"work_mem": true, "maintenance_work_mem": true, "max_parallel_maintenance_workers": true, "synchronous_commit": true,
	"application_name": true, "jit": true, "row_security": true, "transaction": true,
}

// judgedSettings are those of which every value that is not forbidden is harmless.
var judgedSettings = map[string]bool{"standard_conforming_strings": true, "client_encoding": true, "names": true}

// alterSet judges what ALTER ROLE, DATABASE and SYSTEM set for later connections.
func alterSet(_ *lowering, n *ast.Node, u *sqlparse.Utility) {
	switch x := n.GetNode().(type) {
	case *ast.Node_AlterRoleSetStmt:
		u.Forbidden = forbidden(x.AlterRoleSetStmt.Setstmt)
	case *ast.Node_AlterDatabaseSetStmt:
		u.Forbidden = forbidden(x.AlterDatabaseSetStmt.Setstmt)
	case *ast.Node_AlterSystemStmt:
		u.Forbidden = forbidden(x.AlterSystemStmt.Setstmt)
	}
}

// forbidden returns the reason why a setting may not be made; "" for nearly all. A reset
// goes back to what the connection started with, which is not judged here.
func forbidden(s *ast.VariableSetStmt) string {
	if s.GetKind() != ast.VariableSetKind_VAR_SET_VALUE {
		return ""
	}
	switch strings.ToLower(s.Name) {
	case "standard_conforming_strings":
		if !isOn(settingText(s)) {
			return "with standard_conforming_strings off, string constants end elsewhere than they are read to end"
		}
	case "client_encoding", "names":
		switch strings.ToLower(strings.ReplaceAll(settingText(s), "-", "")) {
		case "utf8", "unicode":
		default:
			return "with a client_encoding other than UTF8, the server reads other characters than were analysed"
		}
	}
	return ""
}

// isOn tells whether PostgreSQL reads a setting's text as true.
func isOn(s string) bool {
	s = strings.ToLower(s)
	return s == "on" || s == "1" || s != "" && (strings.HasPrefix("true", s) || strings.HasPrefix("yes", s))
}

// settingText returns the one value of SET; "" when it has another form.
func settingText(s *ast.VariableSetStmt) string {
	if len(s.Args) != 1 {
		return ""
	}
	switch v := s.Args[0].GetAConst().GetVal().(type) {
	case *ast.A_Const_Sval:
		return v.Sval.GetSval()
	case *ast.A_Const_Ival:
		if v.Ival.GetIval() == 1 {
			return "1"
		}
	}
	return ""
}

var executeFields = handles[ast.ExecuteStmt]("Name", "Params")

// execute lowers EXECUTE. The statement that it runs was judged by its PREPARE, if SQL prepared it.
func execute(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	executeFields.check(l, n.GetExecuteStmt())
	u.Runs = n.GetExecuteStmt().Name
	u.Args = l.exprs(n.GetExecuteStmt().Params)
}

var callFields = handles[ast.CallStmt]("Funccall")

func call(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	c := n.GetCallStmt()
	callFields.check(l, c)
	u.Args = []sqlparse.Expr{l.funcCall(c.Funccall)}
}

// bodyOf adds the words of a program's text to the names. What the program puts
// together from parts of words is beyond it.
func bodyOf(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	options := n.GetDoStmt().GetArgs()
	if f := n.GetCreateFunctionStmt(); f != nil {
		options = f.Options
		if f.IsProcedure {
			u.What = "CREATE PROCEDURE"
		}
	}
	for _, o := range options {
		d := o.GetDefElem()
		if d.GetDefname() != "as" {
			continue
		}
		l.words(u, d.Arg.GetString_().GetSval())
		for _, part := range d.Arg.GetList().GetItems() {
			l.words(u, part.GetString_().GetSval())
		}
	}
}
