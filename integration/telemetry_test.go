package integration

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/integration/pgtest/wiretap"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/schema"
)

// TestTelemetryHoldsNoSecret: whatever the server and KMS answer, no log, metric or span of
// Colseal holds a value, a plaintext key or the password of the DSN.
func TestTelemetryHoldsNoSecret(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		mustExec(t, pg.Admin, "CREATE TABLE users (id bigint PRIMARY KEY, email bytea UNIQUE, ssn bytea, born bytea)")
		value, password := fmt.Sprintf("canary.%d@example.org", rand.Uint64()), fmt.Sprintf("password-%d", rand.Uint64())
		srv := newKMS(t)
		keys := &keySpy{Wrapper: awskms.New(srv.Client(t), alias)}
		reader, spans := sdkmetric.NewManualReader(), tracetest.NewInMemoryExporter()
		var logs lockedBuffer
		cfg := driver.Config{
			Schema: schema.Must(schema.Model("users", user{})), KMS: keys, AutoCreateKeyTable: true,
			MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
			TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
			Logger:         slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		telemetryWork(t, pg, srv, cfg, value, password)

		var rm metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &rm); err != nil {
			t.Fatal(err)
		}
		metrics, err := json.Marshal(rm.ScopeMetrics)
		if err != nil {
			t.Fatal(err)
		}
		secrets := append(keys.seen, wiretap.Text("value", value), wiretap.Text("password", password))
		if len(secrets) < 4 {
			t.Errorf("only %d secrets to look for", len(secrets))
		}
		for where, text := range map[string][]byte{"logs": logs.Bytes(), "metrics": metrics, "spans": fmt.Appendf(nil, "%+v", spans.GetSpans())} {
			for _, f := range wiretap.InText(where, text, secrets...) {
				t.Error(f)
			}
			if !bytes.Contains(text, []byte("colseal.")) {
				t.Errorf("the %s hold nothing", where)
			}
		}
		for _, e := range []audit.Event{audit.KeyringCreated, audit.KeyCreated, audit.Refused, audit.CellRejected, audit.KMSRefused} {
			if !strings.Contains(string(logs.Bytes()), e.Name) {
				t.Errorf("%s was not logged", e.Name)
			}
		}
	})
}

// telemetryWork seals, opens and finds; is refused by the analysis, by the server and by
// KMS; and meets a server that it may not log in to.
func telemetryWork(t *testing.T, pg *pgtest.DB, srv *kmstest.Server, cfg driver.Config, value, password string) {
	t.Helper()
	db := openSealed(t, pg.DSN(), pgx.QueryExecModeCacheStatement, cfg)
	insert := "INSERT INTO users (id, email, ssn) VALUES ($1, $2, $3)"
	mustExec(t, db, insert, 1, value, value)
	mustExec(t, db, "INSERT INTO users (id, email, ssn) VALUES (2, 'x"+value+"', '"+value+"')")
	if got := scanOne[string](t, db, "SELECT ssn FROM users WHERE email = $1", value); got != value {
		t.Error("another value")
	}
	if _, err := db.Exec(insert, 3, value, nil); err == nil { // the server quotes the cell
		t.Error("a second row of a unique value")
	}
	for _, query := range []string{
		"SELECT id FROM users WHERE ssn = '" + value + "'", "SELECT id FROM users WHERE email LIKE '" + value + "'",
		"SELECT '" + value + "' || email FROM users", "INSERT INTO users (id, born) VALUES (4, '" + value + "')", "SELECT '" + value + " FROM users",
	} {
		if _, err := db.Exec(query); !errors.Is(err, driver.ErrRefused) && !errors.Is(err, driver.ErrValue) {
			t.Errorf("%s: %v", query, err)
		}
	}
	mustExec(t, pg.Admin, "UPDATE users SET ssn = $1 WHERE id = 1", []byte(value))
	if _, err := scanErr(db, "SELECT ssn FROM users WHERE id = 1"); !errors.Is(err, driver.ErrNotSealed) {
		t.Errorf("plaintext: %v", err)
	}
	lift := srv.Deny(alias)
	fresh := openSealed(t, pg.DSN(), pgx.QueryExecModeSimpleProtocol, cfg)
	if _, err := scanErr(fresh, "SELECT ssn FROM users WHERE id = 2"); !errors.Is(err, kms.ErrDenied) {
		t.Errorf("denied: %v", err)
	}
	lift()
	stranger, err := url.Parse(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	stranger.User = url.UserPassword("nobody_"+password[9:], password)
	shut := openSealed(t, stranger.String(), pgx.QueryExecModeExec, cfg)
	if _, err := scanErr(shut, "SELECT ssn FROM users WHERE id = 2"); err == nil {
		t.Error("a stranger logged in")
	}
}

func scanErr(db *sql.DB, query string) (v string, err error) {
	err = db.QueryRow(query).Scan(&v)
	return v, err
}

// keySpy keeps the plaintext keys that pass it.
type keySpy struct {
	kms.Wrapper
	mu   sync.Mutex
	seen []wiretap.Canary
}

func (s *keySpy) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	dk, err := s.Wrapper.GenerateDataKey(ctx, ec)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, wiretap.Bytes("data key", bytes.Clone(dk.Plaintext)))
	}
	return dk, err
}

// lockedBuffer is a buffer that several handlers write to.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}
