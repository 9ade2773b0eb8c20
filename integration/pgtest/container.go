package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

// dataDir is where the server in a container keeps its data, on a tmpfs.
const dataDir = "/var/lib/postgresql/data"

// serverSettings are those of every server that is started here. Nothing needs to survive a crash;
// the log goes to one file that a superuser can read through SQL.
var serverSettings = []string{
	"fsync=off",
	"synchronous_commit=off",
	"max_connections=200",
	"max_prepared_transactions=20",
	"logging_collector=on",
	"log_directory=log",
	"log_filename=postgresql.log",
	"log_rotation_age=0",
	"log_rotation_size=0",
}

func settingArgs() []string {
	var args []string
	for _, s := range serverSettings {
		args = append(args, "-c", s)
	}
	return args
}

// startContainer starts PostgreSQL of the version in a container that the janitor removes.
func startContainer(ctx context.Context, version int) (*server, error) {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("no Docker engine: %w", err)
	}
	defer docker.Close()
	image, err := findImage(ctx, docker, version)
	if err != nil {
		return nil, err
	}
	w := ward{Container: "colseal-test-" + os.Getenv(runEnv) + randomHex(8)}
	if err := undertake(w); err != nil {
		return nil, err
	}
	password := randomHex(16)
	c, err := postgres.Run(ctx, image,
		testcontainers.WithName(w.Container),
		testcontainers.WithLogger(tclog.NewNoopLogger()),
		testcontainers.WithEnv(map[string]string{"PGDATA": dataDir}),
		testcontainers.WithTmpfs(map[string]string{dataDir: "rw"}),
		testcontainers.WithCmdArgs(settingArgs()...),
		postgres.WithPassword(password),
	)
	if err != nil {
		return nil, fmt.Errorf("container of %s: %w", image, err)
	}
	s, err := reach(ctx, c, image, password)
	if err != nil {
		return nil, err
	}
	s.ward = w
	return s, nil
}

// findImage returns an image that the engine has, or can pull.
func findImage(ctx context.Context, docker *testcontainers.DockerClient, version int) (string, error) {
	env := fmt.Sprintf(imageEnv, version)
	candidates := []string{fmt.Sprintf("postgres:%d", version), fmt.Sprintf("colseal-test/postgres:%d", version)}
	if named := os.Getenv(env); named != "" {
		candidates = []string{named}
	}
	for _, image := range candidates {
		if _, err := docker.ImageInspect(ctx, image); err == nil {
			return image, nil
		}
	}
	// One attempt: testcontainers would repeat it for minutes, and there is another rung below.
	pull, err := docker.ImagePull(ctx, candidates[0], client.ImagePullOptions{})
	if err == nil {
		_, err = io.Copy(io.Discard, pull)
		pull.Close()
	}
	if err == nil {
		_, err = docker.ImageInspect(ctx, candidates[0])
	}
	if err != nil {
		return "", fmt.Errorf("image %s cannot be had (%s names another): %w", candidates[0], env, err)
	}
	return candidates[0], nil
}

// reach waits until the container's server answers. Where the tests run in a container themselves,
// testcontainers takes the bridge's gateway for the host, which is right only if the engine is
// outside: so both it and localhost are tried, and whoever answers with our password is the one.
func reach(ctx context.Context, c *postgres.PostgresContainer, image, password string) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	port, err := c.MappedPort(ctx, "5432/tcp")
	if err != nil {
		return nil, fmt.Errorf("container of %s: %w", image, err)
	}
	hosts := []string{"localhost"}
	if host, err := c.Host(ctx); err == nil && host != "localhost" {
		hosts = append(hosts, host)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, host := range hosts {
			dsn := containerDSN(host, port.Port(), password)
			if s, err := probe(ctx, dsn, "a container of "+image); err == nil {
				return s, nil
			}
		}
		if state, err := c.State(ctx); err == nil && !state.Running {
			return nil, fmt.Errorf("container of %s ended with %d: %s", image, state.ExitCode, logTail(ctx, c))
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("container of %s does not answer on port %s of %v", image, port.Port(), hosts), ctx.Err())
		case <-tick.C:
		}
	}
}

func containerDSN(host, port, password string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", password),
		Host:     net.JoinHostPort(host, port),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// logTail returns the end of what the container printed.
func logTail(ctx context.Context, c *postgres.PostgresContainer) string {
	r, err := c.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	text, _ := io.ReadAll(r)
	return string(text[max(0, len(text)-2000):])
}
