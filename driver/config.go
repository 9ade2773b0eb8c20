package driver

import (
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/inbox"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

// DefaultKeyTable is the name of the keyring table when Config names none.
const DefaultKeyTable = "colseal_keys"

// Config says what to wrap and how. Schema and KMS are required, and Driver for
// [Register]; the zero value of every other field is a usable default. A Config is
// copied where it is used; what it points to is shared and must not be changed.
type Config struct {
	// Driver is the driver to wrap, for example stdlib.GetDefaultDriver() of pgx.
	// NewConnector does not look at it: there the connector says.
	//
	// Names in SQL mean what the connection's search path says. It is followed through
	// SET and transactions, and, for pgx, through callbacks of stdlib.OptionResetSession,
	// which cost one query per use of a connection unless the server is PostgreSQL 18.
	// Another driver must not change the path in its ResetSession.
	Driver sqldriver.Driver

	// Schema names the sealed columns.
	Schema *schema.Schema

	// Stages overrides the stages of the schema, so that a program goes from one stage to the next
	// by its configuration. Its keys are columns, as in "users.email", or tables: "users" stands
	// for all of its columns that have a stage. A column that has no stage in the schema cannot get
	// one here.
	Stages map[string]schema.Stage

	// KMS wraps and unwraps the data keys. It is called from many goroutines. A write-only program
	// leaves it nil.
	KMS kms.Wrapper

	// WriteOnly makes the program seal and never open. It needs no KMS and seals the columns whose
	// tags say inbox. A statement that would return or compare a sealed value fails with
	// ErrWriteOnly. docs/write-only.md says what that protects. Default: nil, an ordinary program.
	WriteOnly *Inbox

	// Keys tunes the cache of plaintext keys and their rotation. Each database
	// handle has its own cache.
	Keys keycache.Config

	// Dialect is the SQL that the database speaks. Default: Postgres.
	Dialect dialect.Dialect

	// KeyTable is the keyring table, with a schema if need be ("app.keys").
	// Default: DefaultKeyTable.
	KeyTable string

	// KeyringID is the id of the keyring, as `colseal keys status` prints it. If it is set,
	// any other keyring is refused with ErrOtherKeyring: that of a copied database, or a new
	// one in the place of one that was lost. Default: any keyring.
	KeyringID string

	// Scopes says whether values may be sealed and searched for without a scope
	// (keyring.WithScope). A rule of a table, schema.Scoped or schema.Unscoped, goes before it.
	// Default: ScopesOptional.
	Scopes ScopePolicy

	// AutoCreateKeyTable makes the keyring table when it is not there. By default
	// the first use of a key fails instead, with an error that prints the DDL.
	AutoCreateKeyTable bool

	// KeyConnector opens the connections over which the keyring is read and written, if
	// it is in another database. Default: the wrapped connector; above a pgxpool
	// (stdlib.GetPoolConnector) one that makes connections of its own as the pool does.
	// What the program does to a connection for each request (stdlib.OptionResetSession)
	// is not done to these.
	KeyConnector sqldriver.Connector

	// KeyConns is how many connections the keyring may have at once, beside those of the
	// program. One is enough; and where the server gives none, the program's are used while they
	// wait for a key. One that is idle for a minute is closed; at once, if the server has refused
	// one. Default: 2; SQLite has 1.
	KeyConns int

	// CatalogMaxAge bounds the age of what is known of views, partitions, inheritance children and
	// functions that stand for sealed tables. The catalog is read before the first statement, and
	// before the next one after DDL that this process sends. When statements come after
	// CatalogMaxAge it is also read in the background, over another connection. Until then, what
	// somebody else created goes unnoticed. Default: one minute. Negative: what others create is
	// never looked for.
	//
	// A REPEATABLE READ or SERIALIZABLE transaction that began earlier needs another connection for
	// it. Without one it may name only registered tables.
	CatalogMaxAge time.Duration

	// Limits bounds what the SQL analysis may cost.
	Limits Limits

	// Logger gets audit events: of keys, refused statements, and stored values that do
	// not open; docs/events.md lists them. They name tables, columns and keys and
	// hold no value. It is the default of Keys.Logger too. Default: nothing is logged.
	Logger *slog.Logger

	// MeterProvider and TracerProvider get metrics, and spans of the requests to the key
	// service; docs/operating.md lists them. Neither is used where cells are sealed and
	// opened. Default: OpenTelemetry's global ones, which do nothing unless the program
	// sets them; the packages metric/noop and trace/noop have some that never do.
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider

	// TelemetryAttributes are added to every metric and span: to tell two database
	// handles of one program apart, say.
	TelemetryAttributes []attribute.KeyValue
}

// Inbox is what a write-only program seals to.
type Inbox struct {
	// Pins name the inboxes, as `colseal keys inbox` prints them: one for each scope, and while
	// an inbox is replaced those of both. Any other inbox in the keyring is passed over.
	Pins []string
}

// Limits bounds the SQL analysis of one *sql.DB. Zero fields take the defaults.
type Limits struct {
	// Plans is how many analysed statements are kept, by their texts. Default: 4096.
	Plans int
	// PlanBytes is about how much memory they take together; those used longest ago are
	// dropped, and a statement whose plan takes more than half of it is analysed each time.
	// Default: 32 MiB.
	PlanBytes int
	// StatementBytes is the length of the longest SQL text that is analysed. A longer one
	// that names a sealed table is refused. Default: 1 MiB.
	StatementBytes int
	// Nesting is the deepest nesting of parentheses, brackets and CASE that is analysed.
	// Default: 500.
	Nesting int
}

// The dialects, for Config.Dialect.
const (
	DialectPostgres = dialect.Postgres
	DialectSQLite   = dialect.SQLite
)

// ScopePolicy says under which scopes values are sealed and searched for. A statement that does
// otherwise is refused. Reading needs no scope.
type ScopePolicy uint8

// The policies.
const (
	// ScopesOptional leaves it to the program. To seal without a scope where the keyring has
	// scopes is an event and a metric.
	ScopesOptional ScopePolicy = iota
	// ScopesRequired refuses to seal or search without a scope.
	ScopesRequired
	// ScopesNever refuses to seal or search under one.
	ScopesNever
)

// Front returns the part of the configuration that both fronts share, with the defaults filled in.
// It returns an error if the configuration is wrong. Only this module can name its result's type.
func (c Config) Front() (front.Config, error) {
	var errs []error
	if c.Schema == nil {
		errs = append(errs, hint.With(errors.New("colseal: Config.Schema is nil"), "name the sealed columns with schema.New"))
	} else if stages, err := c.Schema.WithStages(c.Stages); err != nil {
		errs = append(errs, hint.Errorf("colseal: Config.Stages: %w", err))
	} else {
		c.Schema = stages
	}
	if c.KMS == nil && c.WriteOnly == nil {
		errs = append(errs, hint.With(errors.New("colseal: Config.KMS is nil"), "give an awskms or localkms wrapper"))
	}
	if c.Dialect > DialectSQLite {
		errs = append(errs, hint.With(fmt.Errorf("colseal: Config.Dialect is %s", c.Dialect), "use driver.DialectPostgres or driver.DialectSQLite"))
	}
	if c.Scopes > ScopesNever {
		errs = append(errs, hint.With(fmt.Errorf("colseal: Config.Scopes is %d", c.Scopes), "use driver.ScopesOptional, driver.ScopesRequired or driver.ScopesNever"))
	}
	if err := keyring.CheckID(c.KeyringID); err != nil && c.KeyringID != "" {
		errs = append(errs, hint.With(errors.New("colseal: Config.KeyringID is not the id of a keyring"), "give the 32 hexadecimal digits that `colseal keys status` prints"))
	}
	errs = append(errs, c.checkInbox()...)
	if len(errs) > 0 {
		return front.Config{}, hint.Join(errs...)
	}
	if c.KeyTable == "" {
		c.KeyTable = DefaultKeyTable
	}
	if c.Keys.Logger == nil {
		c.Keys.Logger = c.Logger
	}
	var pins []string
	if c.WriteOnly != nil {
		pins, c.KMS = c.WriteOnly.Pins, nil
	}
	keyTable, _ := dbcatalog.ParseName(c.KeyTable) // a name that is none fails when the keyring is opened
	return front.Config{
		Schema: c.Schema, Dialect: c.Dialect,
		Plans: sqlplan.Options{
			MaxPlans: c.Limits.Plans, MaxPlanBytes: c.Limits.PlanBytes, MaxBytes: c.Limits.StatementBytes, MaxNesting: c.Limits.Nesting,
			KeyTable: keyTable,
		},
		CatalogMaxAge: c.CatalogMaxAge,
		Logger:        c.Logger, MeterProvider: c.MeterProvider, TracerProvider: c.TracerProvider, Attributes: c.TelemetryAttributes,
		KMS: c.KMS, Cache: c.Keys, KeyTable: c.KeyTable, KeyringID: c.KeyringID, Scopes: schema.ScopeRule(c.Scopes), WriteOnly: pins, AutoCreateKeyTable: c.AutoCreateKeyTable, KeyConnector: c.KeyConnector, KeyConns: c.KeyConns,
	}, nil
}

// checkInbox says what is wrong with WriteOnly and its like.
func (c Config) checkInbox() (errs []error) {
	if c.WriteOnly == nil {
		return nil
	}
	if len(c.WriteOnly.Pins) == 0 {
		errs = append(errs, errors.New("Config.WriteOnly has no pins: give those that `colseal keys inbox` prints"))
	}
	for _, pin := range c.WriteOnly.Pins {
		if _, err := inbox.ParsePin(pin); err != nil {
			errs = append(errs, fmt.Errorf("Config.WriteOnly: %w", err))
		}
	}
	if c.Keys.ReadOnly {
		errs = append(errs, errors.New("Config.WriteOnly and Config.Keys.ReadOnly are set: a program that only reads the keyring stores no keys"))
	}
	if c.AutoCreateKeyTable {
		errs = append(errs, errors.New("Config.WriteOnly and Config.AutoCreateKeyTable are set: a new keyring has no inbox"))
	}
	return errs
}
