//go:build !unix

package pgtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

type programs struct{ version int }

func installedPrograms() []programs { return nil }

var errNoCluster = errors.New("throw-away clusters are made on Unix only")

func startCluster(context.Context, int) (*server, error)        { return nil, errNoCluster }
func startClusterOf(context.Context, programs) (*server, error) { return nil, errNoCluster }

func startBouncer(context.Context, *server, int) (string, error) {
	return "", errors.New("PgBouncer is started on Unix only")
}

func removeCluster(dir string) error { return os.RemoveAll(dir) }

func detach(*exec.Cmd) {}
