package main

import (
	"bufio"
	"cmp"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"modernc.org/sqlite"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/agekms"
	_ "github.com/colseal/colseal/kms/awskms"
	_ "github.com/colseal/colseal/kms/azurekv"
	_ "github.com/colseal/colseal/kms/gcpkms"
	_ "github.com/colseal/colseal/kms/localkms"
	_ "github.com/colseal/colseal/kms/pkcs11"
	_ "github.com/colseal/colseal/kms/transit"
)

// kmsEnv is read where --kms is not given.
const kmsEnv = "COLSEAL_KMS"

// keysFlags is what every keys command works on, as its flags say.
type keysFlags struct {
	dsn, dialect, table, keyring string
	kms                          []string
	by                           string
	maxAge, maxStale             time.Duration
	json                         bool
	dryRun                       bool
	wait                         time.Duration // for standbys
	yes                          string
	events                       bool
	stderr                       io.Writer
}

// logger gives the events of docs/events.md to standard error, where --events asks for them.
func (k *keysFlags) logger() *slog.Logger {
	if !k.events {
		return nil
	}
	return slog.New(slog.NewJSONHandler(k.stderr, nil))
}

func newKeys() *cobra.Command {
	k := &keysFlags{}
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Look at and change the data keys in a database's keyring",
		Long: "Look at and change the data keys in a database's keyring.\n\n" +
			"The keyring is a table of wrapped keys beside the data. These commands see no plaintext of a key, but for\n" +
			"reseal, which opens cells and re-seals them, and rewrap under several key encryption keys. Each change is one step in the database, or several that can be\n" +
			"cut short: after an error, or a kill, run the command again.\n\n" +
			"The database is --dsn, or the environment's " + dsnEnv + "; the key encryption key is --kms, or " + kmsEnv + ".\n" +
			"Prefer the environment: other users of the machine can see a command's flags.\n\n" +
			"The exit status is 0 when it is done; 1 when something is left that needs you, or you did not confirm; 2 when the\n" +
			"command failed.",
		Args:             cobra.NoArgs,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) { k.stderr = cmd.ErrOrStderr() },
		RunE:             func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := cmd.PersistentFlags()
	f.StringVar(&k.dsn, "dsn", "", "database (default: the environment's "+dsnEnv+"); for SQLite a file")
	f.StringVar(&k.dialect, "dialect", "postgres", "SQL dialect: postgres or sqlite")
	f.StringVar(&k.table, "key-table", driver.DefaultKeyTable, "the keyring table, as in driver.Config")
	f.StringVar(&k.keyring, "keyring-id", "", "refuse any keyring but the one of this id, which status prints (default: any)")
	f.DurationVar(&k.maxAge, "max-age", 10*time.Minute, "the largest MaxAge in the programs' keycache.Config")
	f.DurationVar(&k.maxStale, "max-stale", time.Hour, "the largest MaxStale in the programs' keycache.Config; negative for none")
	f.BoolVar(&k.json, "json", false, "print JSON")
	f.BoolVar(&k.events, "events", false, "log the events of docs/events.md, as JSON on standard error")
	cmd.AddCommand(newKeysInit(k), newKeysInbox(k), newKeysList(k), newKeysStatus(k), newKeysRotate(k), newKeysRevoke(k),
		newKeysRetire(k), newKeysDestroy(k), newKeysRewrap(k), newKeysAdopt(k), newKeysReseal(k), newKeysCheck(k), newKeysCompact(k), newKeysImport(k))
	return cmd
}

// kmsFlag adds --kms.
func (k *keysFlags) kmsFlag(cmd *cobra.Command, why string) {
	cmd.Flags().StringArrayVar(&k.kms, "kms", nil, why+", as awskms:///alias/NAME?region=REGION or localkms:///PATH;"+
		" several for keys under several (default: the environment's "+kmsEnv+", separated by spaces)")
}

// changeFlags adds what the commands that change keys have in common.
func (k *keysFlags) changeFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&k.dryRun, "dry-run", false, "say what would be done, and change nothing")
	cmd.Flags().DurationVar(&k.wait, waitFlag, 0, "wait so long until every standby has the change; the exit status is 1 if one has it not by then")
	cmd.Flags().StringVar(&k.by, "by", "", "who does it, for the record in the keyring (default: the name of the user at this machine)")
}

// confirmFlag adds --yes.
func (k *keysFlags) confirmFlag(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&k.yes, "yes", "", "confirm without a terminal, by repeating "+what)
}

// open returns the keyring, and what works on it. wrapper may be nil where no key is made or
// rewrapped.
func (k *keysFlags) open(ctx context.Context, create bool, asks kmsUse) (*opened, error) {
	d, err := dialect.Parse(k.dialect)
	if err != nil {
		return nil, err
	}
	cn, err := connect(k.dsn, d, create)
	if err != nil {
		return nil, err
	}
	o := &opened{db: sql.OpenDB(cn), connector: cn, dialect: d}
	o.store = keyring.OpenStore(o.db, d, k.table)
	o.store.Pin(k.keyring)
	if err := checkTable(ctx, o.store); err != nil {
		o.close()
		return nil, err
	}
	wrapper := kms.Wrapper(keyless{})
	if o.kms, err = k.openKMS(ctx, asks); err != nil {
		o.close()
		return nil, err
	}
	if o.kms != nil {
		wrapper = o.kms
	}
	o.admin = keyring.NewAdmin(o.store, wrapper, keyring.AdminConfig{Logger: k.logger(), By: k.who(), MaxAge: k.maxAge, MaxStale: k.maxStale})
	return o, nil
}

// kmsUse is what a command does with the key encryption key.
type kmsUse uint8

const (
	kmsUnused kmsUse = iota // it is not even opened
	kmsLooked               // asked, and not made
	kmsUsed                 // keys are wrapped under it; one in a file is made
)

// openKMS opens the key encryption key that was named; nil if none was, or none is used.
func (k *keysFlags) openKMS(ctx context.Context, asks kmsUse) (kms.Wrapper, error) {
	addresses := k.kms
	if len(addresses) == 0 {
		addresses = strings.Fields(os.Getenv(kmsEnv))
	}
	if len(addresses) == 0 || asks == kmsUnused {
		return nil, nil
	}
	for _, a := range addresses {
		if u, err := url.Parse(a); err == nil && u.Scheme == "localkms" && asks == kmsLooked {
			if _, err := os.Stat(u.Path); errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("the file %s of the key encryption key is not there, and this command makes none: check its path", u.Path)
			}
		}
	}
	return kms.OpenAll(ctx, addresses...)
}

// checkTable finds a name that is no table's, and no more.
func checkTable(ctx context.Context, store *keyring.Store) error {
	if store.DDL() != "" {
		return nil
	}
	return store.Check(ctx)
}

// opened is a keyring that is at hand.
type opened struct {
	db        *sql.DB
	connector sqldriver.Connector
	dialect   dialect.Dialect
	store     *keyring.Store
	admin     *keyring.Admin
	kms       kms.Wrapper // nil if none was named, or it is not used
}

func (o *opened) close() { _ = o.db.Close() } // every change was committed by then

var errNoKMS = errors.New("no key encryption key: give --kms, or set " + kmsEnv + ", as awskms:///alias/NAME?region=REGION or localkms:///PATH")

// with runs a command on the keyring.
func (k *keysFlags) with(cmd *cobra.Command, needKMS bool, f func(context.Context, *opened) error) error {
	asks := kmsUnused
	switch {
	case needKMS && !k.dryRun:
		asks = kmsUsed
	case needKMS || cmd.Name() == "status":
		asks = kmsLooked
	}
	o, err := k.open(cmd.Context(), cmd.Name() == "init", asks)
	if err != nil {
		return err
	}
	defer o.close()
	if needKMS && o.kms == nil {
		return errNoKMS
	}
	err = f(cmd.Context(), o)
	if cmd.Flags().Lookup(waitFlag) == nil || k.dryRun || err != nil && !errors.Is(err, errFound) {
		return err
	}
	return cmp.Or(k.standbys(cmd, o), err)
}

// waitFlag is a flag of the commands that change keys.
const waitFlag = "wait-for-standbys"

// standbys says on standard error whether the standbys have what a command changed, and waits for
// them if that was asked for. A standby that lacks it and takes over undoes it.
func (k *keysFlags) standbys(cmd *cobra.Command, o *opened) error {
	until, lsn := time.Now().Add(k.wait), ""
	for {
		all, at, known, err := o.store.Standbys(cmd.Context(), lsn)
		lsn = at
		var missing []string
		for _, s := range all {
			if !s.Has {
				missing = append(missing, s.Name)
			}
		}
		switch {
		case err != nil && k.wait > 0:
			return err
		case err != nil || len(all) == 0:
			return nil //nolint:nilerr // the change is done; and a standby itself has none
		case known && len(missing) == 0:
			fmt.Fprintln(cmd.ErrOrStderr(), "colseal: received by", count(len(all), "standby connection"))
			return nil
		case time.Now().After(until):
			text := fmt.Sprintf("%d of %d standbys do not have it yet: %s", len(missing), len(all), strings.Join(missing, ", "))
			if !known {
				text = "whether the standbys have it is not known: the role needs pg_monitor for that"
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "colseal:", text)
			if k.wait > 0 {
				return errFound
			}
			return nil
		}
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (k *keysFlags) who() string {
	if k.by != "" {
		return k.by
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

var errDSN = errors.New("the DSN cannot be read: write postgres://user@host/database, or key=value pairs") // its text may hold a password

// connect makes a connector for a database. Its errors hold nothing of the DSN.
func connect(dsn string, d dialect.Dialect, create bool) (sqldriver.Connector, error) {
	if dsn = cmp.Or(dsn, os.Getenv(dsnEnv)); dsn == "" {
		return nil, errors.New("no database: give --dsn, or set " + dsnEnv)
	}
	if d != dialect.SQLite {
		pg, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, errDSN
		}
		return stdlib.GetConnector(*pg), nil
	}
	file, query, _ := strings.Cut(strings.TrimPrefix(dsn, "file:"), "?")
	if file == "" || strings.Contains(file, ":memory:") || strings.Contains(query, "mode=memory") || strings.Contains(file, "://") {
		return nil, errors.New("the DSN names no SQLite file: give the path of one")
	}
	if _, err := os.Stat(file); err != nil && !create { // SQLite would make an empty one
		return nil, errors.New("the SQLite file that the DSN names cannot be read: check its path and who may read it")
	}
	return liteConnector(dsn), nil
}

// liteConnector opens a SQLite file. A connection waits for the transactions of others.
type liteConnector string

func (c liteConnector) Driver() sqldriver.Driver { return &sqlite.Driver{} }

func (c liteConnector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	conn, err := c.Driver().Open(string(c))
	if err != nil {
		return nil, err
	}
	if e, ok := conn.(sqldriver.ExecerContext); ok {
		if _, err := e.ExecContext(ctx, "PRAGMA busy_timeout = 5000", nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

// parseKeyID reads a key's id as the commands print it.
func parseKeyID(s string) (uint32, error) {
	id, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) != 8 || id == 0 {
		return 0, fmt.Errorf("%q is no key id: give its eight hexadecimal digits, as `colseal keys list` prints them", s)
	}
	return uint32(id), nil
}

func keyID(id uint32) string { return fmt.Sprintf("%08x", id) }

func parsePurpose(s string, optional bool) (keyring.Purpose, error) {
	switch p := keyring.Purpose(s); {
	case p == keyring.PurposeData, p == keyring.PurposeSearch, p == "" && optional:
		return p, nil
	case s == "":
		return "", errors.New("which keys: give --purpose data, for randomized columns, or --purpose search, for deterministic ones")
	}
	return "", fmt.Errorf("unknown purpose %q: write data or search", s)
}

// isTerminal is replaced by tests.
var isTerminal = func(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) //nolint:gosec // a descriptor is a small number
}

// errNotConfirmed ends a command that was not confirmed, which did nothing.
var errNotConfirmed = fmt.Errorf("%w: not confirmed: nothing was changed", errFound)

// confirm has the user type a word, or repeat it in --yes.
func (k *keysFlags) confirm(cmd *cobra.Command, what, word string) error {
	if cmd.Flags().Changed("yes") {
		if k.yes == word {
			return nil
		}
		return fmt.Errorf("--yes says %q, and has to say %q: nothing was changed", k.yes, word)
	}
	if !isTerminal(cmd.InOrStdin()) {
		return fmt.Errorf("%s asks for a confirmation, and standard input is no terminal: give --yes=%s if you mean it; nothing was changed", cmd.CommandPath(), strconv.Quote(word))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s\nThis cannot be undone. Type %s to go on: ", what, word)
	line, err := readLine(cmd.Context(), cmd.InOrStdin())
	if err != nil && err != io.EOF {
		return err
	}
	if cmd.Context().Err() != nil || strings.TrimRight(line, "\r\n") != word {
		fmt.Fprintln(cmd.ErrOrStderr(), "colseal: not confirmed: nothing was changed")
		return errNotConfirmed
	}
	return nil
}

// readLine reads a line, or nothing once ctx has ended: an interrupt is an answer, too.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		return "", nil // the reader is left behind: the program is about to end
	}
}
