package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/colseal/colseal/kms"
)

// spanPrefix begins the name of every span; the operation follows.
const spanPrefix = "colseal.kms."

// ObserveKMS is a kms.Observer: a span and a duration for each request.
func (h *Handle) ObserveKMS(ctx context.Context, call kms.Call) (context.Context, func(kms.Answer)) {
	begun := time.Now()
	ctx, span := h.tracer.Start(ctx, spanPrefix+call.Op, trace.WithSpanKind(trace.SpanKindClient))
	if span.IsRecording() {
		span.SetAttributes(h.attrs.ToSlice()...)
		span.SetAttributes(keyKeyID.String(fmt.Sprintf("%08x", call.KeyID)), keyPurpose.String(call.Purpose),
			keyEpoch.Int64(call.Epoch))
	}
	return ctx, func(answer kms.Answer) {
		took := time.Since(begun)
		attrs := []attribute.KeyValue{keyOperation.String(call.Op), keyPurpose.String(call.Purpose)}
		// The class alone: an error's text is for people who may read logs.
		class := kms.ErrorClass(answer.Err)
		if class != "" {
			attrs = append(attrs, keyErrorType.String(class))
			span.SetAttributes(keyErrorType.String(class))
			span.SetStatus(codes.Error, class)
		}
		if answer.KEK != "" {
			span.SetAttributes(keyKEK.String(answer.KEK))
		}
		if h.duration != nil {
			h.duration.Record(ctx, took.Seconds(), metric.WithAttributeSet(h.attrs), metric.WithAttributes(attrs...))
		}
		span.End()
	}
}
