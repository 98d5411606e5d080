// Command receive_go sends a trace, a metric and a log record with OpenTelemetry's SDK to where
// OTEL_EXPORTER_OTLP_ENDPOINT says, and prints the trace's id.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(check))

	spans, err := otlptracehttp.New(ctx)
	check(err)
	points, err := otlpmetrichttp.New(ctx)
	check(err)
	records, err := otlploghttp.New(ctx)
	check(err)
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans))
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(points)))
	loggers := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(records)))

	tracer := tracers.Tracer("depot")
	ctx, root := tracer.Start(ctx, "GET /depot/{id}", trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.route", "/depot/{id}"),
			attribute.String("http.request.method", "GET"),
			attribute.Int("http.response.status_code", 500)))
	_, query := tracer.Start(ctx, "SELECT pallets", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "postgresql"),
			attribute.String("db.query.text", "SELECT * FROM pallets WHERE id = $1")))
	query.End()
	root.RecordError(fmt.Errorf("pallet is gone"))
	root.SetStatus(codes.Error, "pallet is gone")

	counter, err := meters.Meter("depot").Int64Counter("depot.pallets")
	check(err)
	counter.Add(ctx, 7)
	lengths, err := meters.Meter("depot").Float64Histogram("depot.lift")
	check(err)
	lengths.Record(ctx, 1.5)

	var record log.Record
	record.SetTimestamp(time.Now())
	record.SetSeverity(log.SeverityError)
	record.SetSeverityText("ERROR")
	record.SetBody(attribute.StringValue("the pallet fell"))
	loggers.Logger("depot").Emit(ctx, record)

	root.End()
	ctx = context.WithoutCancel(ctx)
	check(tracers.Shutdown(ctx))
	check(meters.Shutdown(ctx))
	check(loggers.Shutdown(ctx))
	fmt.Println(root.SpanContext().TraceID())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
