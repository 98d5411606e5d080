"""Provider, tracer, span, samplers, inbound-context policy and redaction."""
