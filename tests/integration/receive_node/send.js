// Sends a trace, a metric and a log record with OpenTelemetry's SDK to where
// OTEL_EXPORTER_OTLP_ENDPOINT says, and prints the trace's id. The argument is "http", the JSON
// exporters, or "proto".
import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { detectResources, envDetector } from "@opentelemetry/resources";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const form = process.argv[2];
const load = (signal) => import(`@opentelemetry/exporter-${signal}-otlp-${form}`);
const { OTLPTraceExporter } = await load("trace");
const { OTLPMetricExporter } = await load("metrics");
const { OTLPLogExporter } = await load("logs");
const resource = detectResources({ detectors: [envDetector] });

const tracers = new BasicTracerProvider({
  resource,
  spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())],
});
const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() });
const meters = new MeterProvider({ resource, readers: [reader] });
const loggers = new LoggerProvider({
  resource,
  processors: [new SimpleLogRecordProcessor({ exporter: new OTLPLogExporter() })],
});

const tracer = tracers.getTracer("kiosk");
const root = tracer.startSpan("GET /kiosk/:id", {
  kind: SpanKind.SERVER,
  attributes: { "http.route": "/kiosk/:id", "http.request.method": "GET", shelf: [1, 2, 3] },
});
const inside = trace.setSpan(context.active(), root);
tracer.startSpan("read the shelf", { kind: SpanKind.CLIENT }, inside).end();
root.recordException(new Error("the shelf is empty"));
root.setStatus({ code: SpanStatusCode.ERROR, message: "the shelf is empty" });

const meter = meters.getMeter("kiosk");
meter.createCounter("kiosk.papers").add(5, { title: "daily" });
meter.createHistogram("kiosk.wait", { unit: "s" }).record(0.25);

loggers.getLogger("kiosk").emit({
  context: inside,
  severityNumber: 17,
  severityText: "ERROR",
  body: "no papers today",
  attributes: { nested: { papers: [1, "two"] } },
});
root.end();
await Promise.all([tracers.shutdown(), meters.shutdown(), loggers.shutdown()]);
console.log(root.spanContext().traceId);
