package snippets

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
)

func watched(inner sqldriver.Connector, key kms.Wrapper, meters metric.MeterProvider, traces trace.TracerProvider) (*sql.DB, error) {
	sealed, err := driver.NewConnector(inner, driver.Config{
		Schema:              tables,
		KMS:                 key,
		Logger:              slog.New(slog.NewJSONHandler(os.Stderr, nil)), // default: none
		MeterProvider:       meters,                                        // default: OpenTelemetry's global one
		TracerProvider:      traces,                                        // default: OpenTelemetry's global one
		TelemetryAttributes: []attribute.KeyValue{attribute.String("db.namespace", "app")},
	})
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(sealed), nil
}
