package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/schema"
)

func newSchema() *cobra.Command {
	var src source
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the schema as JSON, which the other commands read",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := src.load(cmd.Context())
			if err != nil {
				return err
			}
			text, err := json.Marshal(s)
			if err != nil {
				return err
			}
			var b bytes.Buffer
			if err := json.Indent(&b, text, "", "  "); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), b.String())
			return nil
		},
	}
	src.flags(cmd)
	return cmd
}

func newDDL() *cobra.Command {
	var src source
	var o ddl.Options
	var dialectName string
	var text []string
	cmd := &cobra.Command{
		Use:   "ddl",
		Short: "Print the statements that prepare a database: key table, column types, CHECKs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Dialect, err = dialect.Parse(dialectName); err != nil {
				return err
			}
			s, err := src.load(cmd.Context())
			if err != nil {
				return err
			}
			if o.Text, err = textColumns(s, text); err != nil {
				return err
			}
			out, err := ddl.Write(s, o)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), out)
			return nil
		},
	}
	src.flags(cmd)
	dialectFlag(cmd, &dialectName)
	cmd.Flags().StringVar(&o.KeyTable, "key-table", driver.DefaultKeyTable, "the keyring table, as in driver.Config")
	cmd.Flags().BoolVar(&o.NotValid, "not-valid", false, "add the CHECKs NOT VALID, to tables that still hold plaintext")
	cmd.Flags().StringSliceVar(&text, "text", nil, "columns that store cells as text, as table.column (default bytea)")
	return cmd
}

// textColumns finds the columns that --text names.
func textColumns(s *schema.Schema, names []string) (func(*schema.Column) bool, error) {
	var known []string
	for _, t := range s.Tables() {
		for _, c := range t.Columns() {
			known = append(known, c.TableName()+"."+c.Name)
		}
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("--text: no sealed column %q; there are %s", n, strings.Join(known, ", "))
		}
	}
	return func(c *schema.Column) bool { return slices.Contains(names, c.TableName()+"."+c.Name) }, nil
}

func newExplain() *cobra.Command {
	var src source
	var dsn, dialectName string
	cmd := &cobra.Command{
		Use:   "explain SQL",
		Short: "Say what happens to a statement's parameters, literals and results, or why it is refused",
		Long: "Say what happens to a statement's parameters, literals and results, or why it is refused.\n" +
			"SQL - is read from standard input. With --dsn the database's catalog is asked; the statement is not run.",
		Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			query, err := textOf(cmd, args[0])
			if err != nil {
				return err
			}
			e, err := explainQuery(cmd, &src, dsn, dialectName, query)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), e)
			if e.Refused != nil || e.Observed != nil {
				return errFound
			}
			return nil
		},
	}
	src.flags(cmd)
	dialectFlag(cmd, &dialectName)
	cmd.Flags().StringVar(&dsn, "dsn", "", "PostgreSQL database whose catalog is asked")
	return cmd
}

func textOf(cmd *cobra.Command, arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	text, err := io.ReadAll(cmd.InOrStdin())
	return string(text), err
}

func explainQuery(cmd *cobra.Command, src *source, dsn, dialectName, query string) (*explain.Explanation, error) {
	d, err := dialect.Parse(dialectName)
	if err != nil {
		return nil, err
	}
	if d == dialect.SQLite && dsn != "" {
		return nil, errors.New("--dsn is for PostgreSQL only; leave it out")
	}
	s, err := src.load(cmd.Context())
	if err != nil {
		return nil, err
	}
	if dsn == "" {
		return explain.Offline(s, d, query)
	}
	db, err := openDB(dsn, driver.Config{Schema: s})
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // nothing was written
	return explain.Query(cmd.Context(), db, query)
}
