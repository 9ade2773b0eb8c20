// Package schema says which columns are sealed, and how. It holds facts only: it reads struct tags
// once, by reflection, and knows no SQL, no keys and no values.
//
//	type User struct {
//		ID    int64
//		Email string    `db:"email" seal:"deterministic"`
//		SSN   *string   `db:"ssn"   seal:"random"`
//		Born  time.Time `db:"born"  seal:"random,kind=date"`
//	}
//
//	var tables = schema.Must(schema.Model("users", User{}))
//
// # The tag
//
//	seal:"MODE[,name=COLUMN][,id=IDENTITY][,join=GROUP][,kind=KIND][,min=V][,max=V][,step=V][,cursor][,equal][,fold][,prefix=[MIN-]MAX][,suffix=[MIN-]MAX][,elements][,inbox][,stage=STAGE][,stored=COLUMN]"
//
// MODE is random (strongest; no search but by the options below), deterministic (equality search)
// or ordered (equality, ranges, sorting). The options stand in any order, each at most once,
// without blanks; their values hold no comma (use [Columns] for a column whose name does).
//
//   - name= is the column's name in the catalog, case-sensitive;
//   - id= keeps the cryptographic identity of a renamed column (default: table.column, see
//     [Column.Identity]);
//   - join= names a group of deterministic, or of ordered, columns whose cells may be compared with
//     each other;
//   - min=, max= and step= bound an ordered column, of kind int, float, time, date, timestamp or
//     numeric: min=0,max=150, or min=1900-01-01,max=2069-12-31, or min=0,max=9999.99,step=0.01. The
//     step of a time is a duration such as 1s, of a date a number of days. numeric needs all three,
//     a float has no step;
//   - cursor allows ORDER BY and keyset pagination over a deterministic column, in an order that
//     means nothing;
//   - equal lets a random column be compared with values: name = $1, name = ANY ($1). Whoever sees
//     the cells sees which are equal;
//   - fold lets a random or deterministic text be compared in lower case: lower(email) = lower($1).
//     Whoever sees the cells sees which are equal but for case. With it equal, prefix= and suffix=
//     serve ILIKE and lower() too;
//   - prefix= and suffix= let a text be found by how it begins or ends: name LIKE 'ab%' for
//     beginnings of MIN to MAX characters, MIN being 3 if it is not given. Whoever sees the cells
//     sees which values begin alike, and from common beginnings guesses many of them;
//   - elements lets an array be found by its members: $1 = ANY (tags), tags @> $1, tags && $1.
//     Whoever sees the cells sees which arrays share members;
//   - kind= is one of text bytes int float bool time json uuid numeric text[] int[] date timestamp,
//     for types from which it cannot be inferred, and for a time.Time that is not an instant;
//   - stage= is copy, sealed or only: the column is on its way between plain and sealed, and its
//     cells stand in a companion beside it (see [Stage]);
//   - stored= is the companion's name (default: the column's with _sealed behind it).
//
// A column that is sealed, and whose options change, has stage= and stored= for the new ones, and
// in a second tag what its seal tag was:
//
//	Email string `seal:"deterministic,stage=copy,stored=email_found" was:"random"`
//
// What its cells show to whoever reads the database:
//
//   - random: nothing but the length
//   - deterministic, with cursor or not: which rows are equal, and how often
//   - equal: which rows are equal, and how often
//   - fold: which rows are equal but for case, and how often
//   - prefix=, suffix=: which rows begin or end alike, and how often, for each length
//   - elements: which rows share members, how often, and how many members each has
//   - ordered: the order of the rows, and about how far apart their values are. Dense values (ages,
//     days of a year): everything
//   - stage=copy, stage=sealed: everything, in the plain column beside the cells
//   - any search, in the server's memory and log: which rows are found together
//
// seal:"-" says that a field, and everything beneath it, is left alone on purpose. A tag that
// reflect could not read, or whose key is a misspelling of seal, is an error rather than a column
// in plaintext.
//
// # Column names
//
// The name is that of name=, else of db:"…" (up to the first comma), else of gorm:"column:…", else
// of bun:"…" (up to the first comma), else the field's name in snake_case (see [SnakeCase]), which
// agrees with GORM's NamingStrategy. In a struct with bun tags, a field without a gorm tag gets
// bun's own default instead. [WithColumnNames] replaces this last step, for instance by
// strings.ToLower, which is sqlx's default.
//
// # Embedded structs
//
// Anonymous structs and pointers to them are walked, and so are fields tagged gorm:"embedded" (with
// embeddedPrefix:) and bun:"embed:prefix". name= is final: no prefix is put before it. Any other
// field whose type has sealed fields must belong to a table of its own in the same [New], as the
// Company of a User does.
//
// # Go types
//
// The kind is inferred from the type (see the constants of [Kind]), through pointers, sql.Null
// types and named types. A type that converts itself (driver.Valuer, sql.Scanner) names its kind
// with kind=, and is trusted to yield it. On other types kind= is accepted where the values survive
// the way through codec and database/sql's conversions in both directions.
//
// A time.Time is an instant unless kind= says otherwise. With kind=date it is the date in the
// value's own Location, and with kind=timestamp what a clock shows there, as pgx writes it to a
// column of that type; they come back in UTC. An instant comes back in time.Local, as from pgx.
//
// database/sql itself cannot scan into [16]byte, []string, []int64, structs and maps: as with
// unsealed columns, reading these needs a sql.Scanner, such as a GORM serializer or pgtype's
// SQLScanner.
//
// # Limits
//
// JSON cannot be deterministic: equal documents need not have equal bytes. Deterministic floats
// compare as IEEE numbers do (-0 equals 0), except that NaN equals itself; a float32 compares as
// the float64 it converts to. Names are limited to the 63 bytes that PostgreSQL keeps.
package schema
