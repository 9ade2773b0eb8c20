// Package queries times statements through Colseal against the same statements
// through plain pgx and against pgcrypto, on one PostgreSQL server.
package queries

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

// imageEnv names the server's image, as it does for the tests.
const imageEnv = "COLSEAL_TEST_PG17_IMAGE"

// images are tried in turn when it names none.
var images = []string{"postgres:17", "colseal-test/postgres:17"}

// openServer returns the address of the server that was named. Without one it starts PostgreSQL in
// a container, with fsync on a real file system, which stop removes.
func openServer(ctx context.Context, named string) (dsn string, stop func(), err error) {
	if named != "" {
		return named, func() {}, nil
	}
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil { // its image may not be to be had
		return "", nil, err
	}
	tclog.SetDefault(tclog.NewNoopLogger())
	image, err := findImage(ctx)
	if err != nil {
		return "", nil, err
	}
	const password = "bench"
	c, err := postgres.Run(ctx, image,
		testcontainers.WithLogger(tclog.NewNoopLogger()),
		testcontainers.WithCmdArgs("-c", "fsync=on", "-c", "max_connections=200", "-c", "shared_buffers=1GB", "-c", "max_wal_size=8GB", "-c", "checkpoint_timeout=1h", "-c", "autovacuum=off"),
		postgres.WithPassword(password),
	)
	stop = func() {
		if err := testcontainers.TerminateContainer(c); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "bench: the container stays behind:", err)
		}
	}
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("a container of %s (give --dsn for a server of your own): %w", image, err)
	}
	dsn, err = reach(ctx, c, password)
	if err != nil {
		stop()
		return "", nil, err
	}
	return dsn, stop, nil
}

func findImage(ctx context.Context) (string, error) {
	if named := os.Getenv(imageEnv); named != "" {
		return named, nil
	}
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return "", fmt.Errorf("no Docker engine: give --dsn: %w", err)
	}
	defer func() { _ = docker.Close() }()
	for _, image := range images {
		if _, err := docker.ImageInspect(ctx, image, []client.ImageInspectOption{}...); err == nil {
			return image, nil
		}
	}
	return images[0], nil // to be pulled
}

// reach waits for the server. Within a container testcontainers may take the
// bridge's gateway for the host, so localhost is tried too.
func reach(ctx context.Context, c *postgres.PostgresContainer, password string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	port, err := c.MappedPort(ctx, "5432/tcp")
	if err != nil {
		return "", err
	}
	hosts := []string{"localhost"}
	if host, err := c.Host(ctx); err == nil && host != "localhost" {
		hosts = append(hosts, host)
	}
	for {
		for _, host := range hosts {
			u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password), Host: net.JoinHostPort(host, port.Port()),
				Path: "/postgres", RawQuery: "sslmode=disable&connect_timeout=2"}
			if conn, err := pgx.Connect(ctx, u.String()); err == nil {
				return direct(ctx, c, u), conn.Close(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the server in the container does not answer: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// direct returns the address of the container itself where the machine routes to it, as
// Linux does: a published port goes by way of a proxy, a process that takes part of the
// processor.
func direct(ctx context.Context, c *postgres.PostgresContainer, published url.URL) string {
	if ip, err := c.ContainerIP(ctx); err == nil && ip != "" {
		u := published
		u.Host = net.JoinHostPort(ip, "5432")
		if conn, err := pgx.Connect(ctx, u.String()); err == nil && conn.Close(ctx) == nil {
			return u.String()
		}
	}
	return published.String()
}

// schemaName is where the tables are; it is dropped before and after.
const schemaName = "colseal_bench"

// config returns how to connect; commits wait for the disk if durable is set.
func config(dsn string, durable bool) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("--dsn: no address of a PostgreSQL server") // its text may hold a password
	}
	cfg.RuntimeParams["search_path"] = schemaName + ", public"
	cfg.RuntimeParams["synchronous_commit"] = map[bool]string{true: "on", false: "off"}[durable]
	return cfg, nil
}
