// Command colseal prepares and checks databases with sealed columns, and manages their keys. Only
// doctor and the keys commands use keys, and only those see a plaintext: the others work on the
// schema, SQL texts and the database's catalog.
//
// The exit status is 0 when all is well, 1 when a statement is refused or will be, or audit,
// doctor, observe or vet found something, and 2 when the command itself failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/keyring"
	"github.com/spf13/cobra"
)

func main() {
	if isVetTool(os.Args[1:]) {
		runVetTool()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what does not heed the first
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// The exit statuses.
const (
	statusOK = iota
	statusFound
	statusFailed
)

// errFound ends a command whose output says already what is wrong.
var errFound = errors.New("found")

// run is the program, with what it touches given to it.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return statusOK
	case errors.Is(err, errFound):
		return statusFound
	default:
		fmt.Fprintln(errs, "colseal:", strings.TrimPrefix(hint.Text(err), "colseal: "))
		if table, ok := errors.AsType[*keyring.TableError](err); ok && table.DDL() != "" {
			fmt.Fprintf(errs, "\n%s\n", strings.TrimSpace(table.DDL()))
		}
		return statusFailed
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "colseal",
		Short:         "Prepare and check databases with sealed columns, and manage their keys",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newSchema(), newDDL(), newExplain(), newAudit(), newDoctor(), newLeak(), newVet(), newObserve(), newKeys(), newSeal(), newUnseal(), newMigrateStatus())
	return root
}

// one and atMostOne say how a command is written that has another number of arguments.
func one(cmd *cobra.Command, args []string) error { return counted(cmd, args, 1) }

func atMostOne(cmd *cobra.Command, args []string) error { return counted(cmd, args, 0) }

func counted(cmd *cobra.Command, args []string, least int) error {
	if len(args) < least || len(args) > 1 {
		return fmt.Errorf("%d arguments were given; write %s", len(args), cmd.UseLine())
	}
	return nil
}

// version is that of the module, as Go stamped it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
