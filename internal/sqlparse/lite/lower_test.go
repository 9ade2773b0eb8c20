package lite

import (
	"testing"

	"github.com/colseal/colseal/internal/sqlparse"
)

// The tests of this file: a text, and its tree or the error.
type lowering struct{ sql, want string }

var queries = []lowering{
	{`SELECT * FROM users WHERE Email = ? AND "Note" <> 'x' OR id = -5`,
		`Select{Targets:[{Expr:*}] From:[users] Where:Logic{Op:1 Args:[Logic{Args:[Compare{Left:email Right:?1} Compare{Op:1 Left:note Right:"x"}]} Compare{Left:id Right:-5}]}}`},
	{`SELECT u.*, main.users.email AS E FROM Main.Users AS U LEFT JOIN orgs o ON o.id = u.org WHERE u.email IN (?, ?2, 'x')`,
		`Select{Targets:[{Expr:u*} {Expr:main.users.email Name:"e"}] From:[Join{Left:main.users as u Right:orgs as o NullRight}] On:Compare{Left:o.id Right:u.org} Where:In{Left:u.email List:[?1 ?2 "x"]}}`},
	{`SELECT 1 FROM a, b, (SELECT 2) c`,
		`Select{Targets:[{Expr:1}] From:[a b SubqueryTable{Query:Select{Targets:[{Expr:2}]} Alias:Alias{Name:"c"}}]}`},
	{`SELECT 1 FROM a, b JOIN c USING (ID) WHERE x`,
		`Select{Targets:[{Expr:1}] From:[Join{Left:Join{Left:a Right:b} Right:c Using:["id"]}] Where:x}`},
	{`SELECT 1 FROM a RIGHT JOIN b ON a.x = b.x FULL OUTER JOIN c ON b.y = c.y NATURAL JOIN d`,
		`Select{Targets:[{Expr:1}] From:[Join{Left:Join{Left:Join{Left:a Right:b NullLeft} Right:c NullLeft NullRight} Right:d Natural}] On:Logic{Args:[Compare{Left:a.x Right:b.x} Compare{Left:b.y Right:c.y}]}}`},
	{`SELECT 1 FROM a JOIN (b JOIN c ON b.x = c.x) ON a.x = b.x`,
		`Select{Targets:[{Expr:1}] From:[Join{Left:a Right:Join{Left:b Right:c On:Compare{Left:b.x Right:c.x}}}] On:Compare{Left:a.x Right:b.x}}`},
	{`SELECT 1 FROM ((a)), json_each(a.j, '$.x') AS j`,
		`Select{Targets:[{Expr:1}] From:[a FuncTable{Calls:[Call{Name:"json_each" Args:[a.j "$.x"]}] Alias:Alias{Name:"j"} Lateral}]}`},
	{`SELECT a IS NULL, a IS NOT NULL, a ISNULL, a NOTNULL, a NOT NULL, a IS b, a IS NOT b, a IS DISTINCT FROM b, a IS NOT DISTINCT FROM (NULL), a IS NOT TRUE`,
		`Select{Targets:[{Expr:IsNull{Arg:a}} {Expr:IsNull{Not Arg:a}} {Expr:IsNull{Arg:a}} {Expr:IsNull{Not Arg:a}} {Expr:IsNull{Not Arg:a}} {Expr:Compare{Op:3 Left:a Right:b}} {Expr:Compare{Op:2 Left:a Right:b}} {Expr:Compare{Op:2 Left:a Right:b}} {Expr:IsNull{Arg:a}} {Expr:Logic{Op:3 Args:[a]}}]}`},
	{`SELECT a LIKE b ESCAPE c, a NOT GLOB b, a BETWEEN 1 AND 2, a || b -> c ->> d, ~a, -a, +a, a COLLATE nocase, X'00', CURRENT_TIMESTAMP, a < b`,
		`Select{Targets:[{Expr:Opaque{What:"LIKE" Args:[a b c]}} {Expr:Match{What:"GLOB" Op:"GLOB" Not Left:a Right:b}} {Expr:Between{Arg:a Low:1 High:2}} {Expr:Opaque{What:"the operator ->>" Args:[Opaque{What:"the operator ->" Args:[Opaque{What:"the operator ||" Args:[a b]} c]} d]}} {Expr:Opaque{What:"the operator ~" Args:[a]}} {Expr:Opaque{What:"the operator -" Args:[a]}} {Expr:Opaque{What:"the operator +" Args:[a]}} {Expr:Opaque{What:"COLLATE" Args:[a]}} {Expr:Opaque{What:"a blob literal"}} {Expr:Opaque{What:"CURRENT_TIMESTAMP"}} {Expr:Order{Op:"<" Left:a Right:b}}]}`},
	{`SELECT 1, -9223372036854775808, 9223372036854775808, 0xFFFFFFFFFFFFFFFF, -0x10, 1.50, -1e3, 1_000, NULL, true, FALSE, "true", 'it''s'`,
		`Select{Targets:[{Expr:1} {Expr:-9223372036854775808} {Expr:9223372036854775808} {Expr:-1} {Expr:-16} {Expr:1.50} {Expr:-1e3} {Expr:1000} {Expr:NULL} {Expr:true} {Expr:false} {Expr:true} {Expr:"it's"}]}`},
	{`SELECT a IN (), a NOT IN (SELECT b FROM c), a IN main.t, (a, b) IN ((1, 2), (3, 4)), EXISTS (SELECT 1), (SELECT 1)`,
		`Select{Targets:[{Expr:In{Left:a List:[]}} {Expr:In{Not Left:a Query:Select{Targets:[{Expr:b}] From:[c]}}} {Expr:In{Left:a Query:Select{Targets:[{Expr:*}] From:[main.t]}}} {Expr:In{Left:Row{Args:[a b]} List:[Row{Args:[1 2]} Row{Args:[3 4]}]}} {Expr:Subquery{Kind:1 Query:Select{Targets:[{Expr:1}]}}} {Expr:Subquery{Query:Select{Targets:[{Expr:1}]}}}]}`},
	{`SELECT coalesce(a, b), IFNULL(a, ?), nullif(a, b), iif(a, b, c), if(a, b, c, d), CASE a WHEN b THEN c ELSE d END, CASE WHEN a THEN b END, CAST(? AS VARCHAR(20))`,
		`Select{Targets:[{Expr:Coalesce{Args:[a b]}} {Expr:Coalesce{Args:[a ?1]}} {Expr:NullIf{Left:a Right:b}} {Expr:Case{Whens:[{Cond:a Then:b}] Else:c}} {Expr:Case{Whens:[{Cond:a Then:b} {Cond:c Then:d}]}} {Expr:Case{Arg:a Whens:[{Cond:b Then:c}] Else:d}} {Expr:Case{Whens:[{Cond:a Then:b}]}} {Expr:Cast{Arg:?2 Type:{Name:"varchar" Modified}}}]}`},
	{`SELECT count(*), count(DISTINCT a), group_concat(a, ',' ORDER BY b) FILTER (WHERE c), sum(a) OVER w, min(a) OVER (w PARTITION BY b ORDER BY c ROWS BETWEEN 1 PRECEDING AND ? FOLLOWING) FROM t WINDOW w AS (ORDER BY a)`,
		`Select{Targets:[{Expr:Call{Name:"count" Star}} {Expr:Call{Name:"count" Args:[a] Distinct}} {Expr:Call{Name:"group_concat" Args:[a ","] OrderBy:[{Expr:b}] Filter:c}} {Expr:Call{Name:"sum" Args:[a] Over:Window{Ref:"w"}}} {Expr:Call{Name:"min" Args:[a] Over:Window{Ref:"w" Partition:[b] OrderBy:[{Expr:c}] Frame:[1 ?1]}}}] From:[t] Windows:[Window{Name:"w" OrderBy:[{Expr:a}]}]}`},
	{`SELECT DISTINCT a FROM t GROUP BY a, 2 HAVING count(*) > 1 ORDER BY a DESC NULLS LAST LIMIT ? OFFSET ?`,
		`Select{Distinct Targets:[{Expr:a}] From:[t] GroupBy:[a 2] Having:Order{Op:">" Left:Call{Name:"count" Star} Right:1} OrderBy:[{Expr:a}] Limit:[?1 ?2]}`},
	{`SELECT a FROM t UNION ALL SELECT b FROM u EXCEPT SELECT c FROM v ORDER BY 1 LIMIT 2, 3`,
		`Select{Op:3 Left:Select{Op:1 All Left:Select{Targets:[{Expr:a}] From:[t]} Right:Select{Targets:[{Expr:b}] From:[u]}} Right:Select{Targets:[{Expr:c}] From:[v]} OrderBy:[{Expr:1}] Limit:[3 2]}`},
	{`VALUES (1, ?), (2, ?)`,
		`Select{Values:[[1 ?1] [2 ?2]]}`},
	{`WITH x(a, B) AS MATERIALIZED (SELECT 1, 2), y AS (SELECT * FROM x) SELECT * FROM y`,
		`Select{With:With{Recursive CTEs:[CTE{Name:"x" Columns:["a" "b"] Query:Select{Targets:[{Expr:1} {Expr:2}]}} CTE{Name:"y" Query:Select{Targets:[{Expr:*}] From:[x]}}]} Targets:[{Expr:*}] From:[y]}`},
	{`WITH x AS (SELECT 1) SELECT 1 UNION SELECT 2`,
		`Select{With:With{Recursive CTEs:[CTE{Name:"x" Query:Select{Targets:[{Expr:1}]}}]} Op:1 Left:Select{Targets:[{Expr:1}]} Right:Select{Targets:[{Expr:2}]}}`},
	{`SELECT ?; SELECT ?, ?`,
		`Select{Targets:[{Expr:?1}]}; Select{Targets:[{Expr:?1} {Expr:?2}]}`},
	{`SELECT ?2, ?, ?1, $2, ?, :a, @a, :a, ?, $7, #b, $c::d(e), $02`,
		`Select{Targets:[{Expr:?2} {Expr:?3} {Expr:?1} {Expr:?2} {Expr:?5} {Expr:?a} {Expr:?a} {Expr:?a} {Expr:?8} {Expr:?7} {Expr:?b} {Expr:?c::d(e)} {Expr:?02}]}`},
}

var writes = []lowering{
	{`INSERT INTO users(id, Email) VALUES (?, 'lit'), (?, NULL)`,
		`Insert{Table:users Columns:[{Name:"id"} {Name:"email"}] Source:Select{Values:[[?1 "lit"] [?2 NULL]]}}`},
	{`INSERT INTO users AS u DEFAULT VALUES RETURNING *`,
		`Insert{Table:users as u Returning:Returning{Targets:[{Expr:*}]}}`},
	{`REPLACE INTO users VALUES (?, ?)`,
		`Insert{Table:users Source:Select{Values:[[?1 ?2]]} Replace}`},
	{`INSERT OR REPLACE INTO t SELECT * FROM u`,
		`Insert{Table:t Source:Select{Targets:[{Expr:*}] From:[u]} Replace}`},
	{`WITH x AS (SELECT 1) INSERT OR IGNORE INTO t WITH y AS (SELECT 2) SELECT * FROM x, y`,
		`Insert{With:With{Recursive CTEs:[CTE{Name:"x" Query:Select{Targets:[{Expr:1}]}}]} Table:t Source:Select{With:With{Recursive CTEs:[CTE{Name:"y" Query:Select{Targets:[{Expr:2}]}}]} Targets:[{Expr:*}] From:[x y]} Replace}`},
	{`INSERT INTO users(id, email) VALUES (?, ?) ON CONFLICT (id) WHERE id > 0 DO UPDATE SET email = excluded.email, (a, b) = (1, ?) WHERE users.id = ? ON CONFLICT DO NOTHING RETURNING email AS e`,
		`Insert{Table:users Columns:[{Name:"id"} {Name:"email"}] Source:Select{Values:[[?1 ?2]]} Conflicts:[Conflict{Targets:[id] TargetWhere:Order{Op:">" Left:id Right:0} Set:[{Columns:[{Name:"email"}] Value:excluded.email} {Columns:[{Name:"a"} {Name:"b"}] Value:Row{Args:[1 ?3]}}] Where:Compare{Left:users.id Right:?4}} Conflict{DoNothing}] Returning:Returning{Targets:[{Expr:email Name:"e"}]}}`},
	{`UPDATE OR IGNORE users AS u SET ssn = coalesce(?, ssn), (a, b) = (SELECT 1, 2) FROM x JOIN y ON x.i = y.i WHERE u.id = x.id RETURNING id`,
		`Update{Table:users as u Set:[{Columns:[{Name:"ssn"}] Value:Coalesce{Args:[?1 ssn]}} {Columns:[{Name:"a"} {Name:"b"}] Value:Subquery{Query:Select{Targets:[{Expr:1} {Expr:2}]}}}] From:[Join{Left:x Right:y}] Where:Logic{Args:[Compare{Left:x.i Right:y.i} Compare{Left:u.id Right:x.id}]} Returning:Returning{Targets:[{Expr:id}]} Replace}`},
	{`DELETE FROM users INDEXED BY i WHERE email = ? RETURNING email`,
		`Delete{Table:users Where:Compare{Left:email Right:?1} Returning:Returning{Targets:[{Expr:email}]}}`},
}

var utilities = []lowering{
	{`EXPLAIN QUERY PLAN SELECT 1`,
		`Explain{Stmt:Select{Targets:[{Expr:1}]}}`},
	{`BEGIN IMMEDIATE; COMMIT; ROLLBACK TO s; SAVEPOINT s; RELEASE s; END;`,
		`Utility{What:"BEGIN"}; Utility{What:"COMMIT" Ends}; Utility{What:"ROLLBACK" Ends}; Utility{What:"SAVEPOINT"}; Utility{What:"RELEASE"}; Utility{What:"COMMIT" Ends}`},
	{`CREATE TEMP TABLE IF NOT EXISTS App.T (id INTEGER PRIMARY KEY, e TEXT DEFAULT 'x', n DEFAULT (NULL), c AS (lower(e)), o REFERENCES Orgs(id), CHECK (e <> 'y'))`,
		`Utility{What:"CREATE TABLE" Names:[app.t orgs] Reads Definitions:[{What:"PRIMARY KEY" Table:app.t Keys:["id"]} {What:"DEFAULT" Table:app.t Column:"e" Expr:"x"} {What:"GENERATED" Table:app.t Column:"c" Expr:Call{Name:"lower" Args:[e]}} {What:"FOREIGN KEY" Table:app.t Keys:["o"] References:Reference{Table:app.orgs Columns:["id"]}} {What:"CHECK" Table:app.t Expr:Compare{Op:1 Left:e Right:"y"} Condition Text:"(e <> 'y')"}] Catalog Changes:[{Table:app.t}] Bounded}`},
	{`CREATE TABLE t AS SELECT ?, email FROM users`,
		`Utility{What:"CREATE TABLE" Names:[t users] Reads Carries Kept:Kept{Kind:1 Name:t Query:Select{Targets:[{Expr:?1} {Expr:email}] From:[users]}} Catalog Changes:[{Table:t}] Bounded}`},
	{`CREATE UNIQUE INDEX main.i ON Users(email COLLATE nocase DESC, (id))`,
		`Utility{What:"CREATE INDEX" Names:[main.i users] Reads Definitions:[{What:"an index" Table:main.users Expr:Opaque{What:"COLLATE" Args:[email]}} {What:"a unique index" Table:main.users Keys:["id"]}] Computes Catalog Bounded}`},
	{`CREATE INDEX i ON users(lower(email))`,
		`Utility{What:"CREATE INDEX" Names:[i users] Reads Definitions:[{What:"an index" Table:users Expr:Call{Name:"lower" Args:[email]}}] Computes Catalog Bounded}`},
	{`CREATE INDEX i ON users(id) WHERE email = 'x'`,
		`Utility{What:"CREATE INDEX" Names:[i users] Reads Definitions:[{What:"an index predicate" Table:users Expr:Compare{Left:email Right:"x"} Condition}] Computes Catalog Bounded}`},
	{`CREATE VIEW v(a) AS SELECT email FROM users WHERE id IN orgs`,
		`Utility{What:"CREATE VIEW" Names:[v users orgs] Reads Carries Kept:Kept{Name:v Columns:["a"] Query:Select{Targets:[{Expr:email}] From:[users] Where:In{Left:id Query:Select{Targets:[{Expr:*}] From:[orgs]}}}} Catalog Changes:[{Table:v}] Bounded}`},
	{`CREATE TRIGGER tr AFTER UPDATE OF email ON users BEGIN INSERT INTO log SELECT new.email; DELETE FROM log2; SELECT RAISE(ABORT, 'no'); END`,
		`Utility{What:"CREATE TRIGGER" Names:[tr users log log2] Carries Catalog Bounded}`},
	{`CREATE VIRTUAL TABLE f USING fts5(body, content='Users')`,
		`Utility{What:"CREATE VIRTUAL TABLE" Names:[f body content users] Carries Catalog Changes:[{Table:f}] Bounded}`},
	{`ALTER TABLE users RENAME TO people`,
		`Utility{What:"ALTER TABLE" Names:[users people] Renames:[{Table:users To:"people"}] Catalog Changes:[{Table:users} {Table:people}] Bounded}`},
	{`ALTER TABLE users RENAME COLUMN Email TO mail`,
		`Utility{What:"ALTER TABLE" Names:[users] Renames:[{Table:users Column:"email" To:"mail"}] Catalog Changes:[{Table:users Columns:["email" "mail"]}] Bounded}`},
	{`ALTER TABLE main.users ADD COLUMN x TEXT DEFAULT 'v'`,
		`Utility{What:"ALTER TABLE" Names:[main.users] Definitions:[{What:"DEFAULT" Table:main.users Column:"x" Expr:"v"}] Catalog Changes:[{Table:main.users Columns:["x"]}] Bounded}`},
	{`ALTER TABLE users DROP COLUMN note`,
		`Utility{What:"ALTER TABLE" Names:[users] Catalog Changes:[{Table:users Columns:["note"]}] Bounded}`},
	{`DROP TABLE IF EXISTS users; DROP VIEW v; DROP INDEX i; DROP TRIGGER tr`,
		`Utility{What:"DROP TABLE" Names:[users] Catalog Changes:[{Table:users}] Bounded}; Utility{What:"DROP VIEW" Names:[v] Catalog Changes:[{Table:v}] Bounded}; Utility{What:"DROP INDEX" Names:[i] Catalog Bounded}; Utility{What:"DROP TRIGGER" Names:[tr] Catalog Bounded}`},
	{`PRAGMA table_info(users)`,
		`Utility{What:"PRAGMA"}`},
	{`PRAGMA main.temp_store = 2`,
		`Utility{What:"PRAGMA" Catalog Session}`},
	{`PRAGMA writable_schema = ON`,
		`Utility{What:"PRAGMA" Catalog Session Forbidden:"this PRAGMA may change what names and results mean, or damage the database"}`},
	{`ATTACH DATABASE ? AS aux; DETACH aux`,
		`Utility{What:"ATTACH" Args:[?1] Catalog Session}; Utility{What:"DETACH" Catalog Session}`},
	{`VACUUM INTO 'x.db'; ANALYZE users; REINDEX users; VACUUM`,
		`Utility{What:"VACUUM"}; Utility{What:"ANALYZE" Names:[users] Reads}; Utility{What:"REINDEX" Names:[users] Reads}; Utility{What:"VACUUM"}`},
}

var refused = []lowering{
	{`SELECT RAISE(IGNORE)`, `RAISE at byte 7`},
	{`SELECT 1 IN json_each(?)`, `IN over a table-valued function at byte 7`},
	{`SELECT CAST(1 AS)`, `a CAST to no type at byte 7`},
	{`SELECT 1 FROM a LEFT x JOIN b`, `a join of an unknown kind at byte 16`},
	{`SELECT 1 FROM a ON 1`, `a join condition without a join at byte 14`},
	{`SELECT 1 FROM a NATURAL JOIN b ON 1`, `a NATURAL join with ON or USING at byte 16`},
	{`SELECT 1 FROM a OUTER JOIN b`, `a join of an unknown kind at byte 16`},
	{`SELECT 1 FROM a JOIN (b AS x) ON 1`, `an alias within parentheses in FROM at byte 22`},
	{`SELECT 1 FROM a JOIN (b JOIN c) AS x`, `an alias on parenthesised tables in FROM at byte 16`},
	{`SELECT 1 FROM a JOIN (b JOIN c ON 1 JOIN d USING (x))`, `ON followed by USING or NATURAL within parentheses in FROM at byte 16`},
	{`SELECT 1 ORDER BY 1 UNION SELECT 2`, `ORDER BY or LIMIT before a set operation at byte 20`},
	{`SELECT ?0`, `a parameter's number is not one of 1 to 32766 at byte 7`},
	{`SELECT ?01`, `a parameter's number is not one of 1 to 32766 at byte 7`},
	{`SELECT ?32767`, `a parameter's number is not one of 1 to 32766 at byte 7`},
	{`SELECT 'secret`, `unrecognized token at byte 7`},
	{`SELECT 'secret' secret 1`, `syntax error at byte 23`},
	{`SELECT`, `the SQL text is incomplete at byte 6`},
	{`SELECT 0x10000000000000000`, `a hexadecimal number of more than 64 bits at byte 7`},
	{`SELECT #1`, `syntax error at byte 7`},
	{`DELETE FROM t ORDER BY a LIMIT 1`, `syntax error at byte 14`},
}

func TestLowering(t *testing.T) {
	for _, set := range [][]lowering{queries, writes, utilities} {
		for _, test := range set {
			t.Run(test.sql, func(t *testing.T) {
				if got := dumpAll(mustParse(t, test.sql)); got != test.want {
					t.Errorf("got  %s\nwant %s", got, test.want)
				}
			})
		}
	}
}

func TestRefused(t *testing.T) {
	for _, test := range refused {
		t.Run(test.sql, func(t *testing.T) {
			f, err := Parse(test.sql, sqlparse.Limits{})
			if err == nil {
				t.Fatalf("accepted as %s", dumpAll(f))
			}
			if _, ok := sqlparse.AsError(err); !ok || err.Error() != test.want {
				t.Errorf("got %q (%T), want %q", err, err, test.want)
			}
		})
	}
}
