//! Standard variables of OpenTelemetry that ask for what isn't done here. Who sets one means something by it, and learns at
//! the start that nothing would come of it.

use anyhow::bail;

use crate::settings::Variables;

/// Why not.
const NO_LOGS: &str = "logs go to standard error, where collectors find them";
const NO_OTHER_EXPORTER: &str = "traces and metrics are sent by OTLP: see OTEL_EXPORTER_OTLP_ENDPOINT";
const BY_OPTION: &str = "where Prometheus fetches metrics is said by --metrics-listen";
const NO_FILE: &str = "variables alone are read";
const NO_LIMIT: &str = "these are never counted, since we make few of them";

/// The variables, each with the values that ask for what is done anyway, and why no other is taken.
const UNSUPPORTED: &[(&str, &[&str], &str)] = &[
    ("OTEL_CONFIG_FILE", &[], NO_FILE),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", &[], NO_FILE),
    ("OTEL_LOG_LEVEL", &["info"], "RUST_LOG says what is logged"),
    ("OTEL_ENTITIES", &[], "OTEL_RESOURCE_ATTRIBUTES says what the process is"),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", &["128"], "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT is the one for spans"),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", &["128"], NO_LIMIT),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", &["128"], NO_LIMIT),
    ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", &["128"], NO_LOGS),
    ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", &[], NO_LOGS),
    ("OTEL_BLRP_SCHEDULE_DELAY", &[], NO_LOGS),
    ("OTEL_BLRP_EXPORT_TIMEOUT", &[], NO_LOGS),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", &[], NO_LOGS),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", &[], NO_LOGS),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &[], NO_LOGS),
    ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", &[], NO_LOGS),
    ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", &[], NO_LOGS),
    ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", &[], NO_LOGS),
    ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", &[], NO_LOGS),
    ("OTEL_EXPORTER_OTLP_LOGS_INSECURE", &[], NO_LOGS),
    ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", &[], NO_LOGS),
    ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", &[], NO_LOGS),
    ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", &[], NO_LOGS),
    ("OTEL_EXPORTER_PROMETHEUS_HOST", &[], BY_OPTION),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", &[], BY_OPTION),
    ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", &[], NO_OTHER_EXPORTER),
    ("OTEL_EXPORTER_ZIPKIN_TIMEOUT", &[], NO_OTHER_EXPORTER),
    ("OTEL_EXPORTER_JAEGER_ENDPOINT", &[], NO_OTHER_EXPORTER),
    ("OTEL_EXPORTER_JAEGER_AGENT_HOST", &[], NO_OTHER_EXPORTER),
    ("OTEL_EXPORTER_JAEGER_AGENT_PORT", &[], NO_OTHER_EXPORTER),
    ("OTEL_EXPORTER_JAEGER_PROTOCOL", &[], NO_OTHER_EXPORTER),
    ("OTEL_METRICS_EXEMPLAR_FILTER", &["always_off"], "metrics bear no exemplars"),
    ("OTEL_METRIC_EXPORT_TIMEOUT", &[], "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT bounds the sending of metrics"),
    (
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        &["explicit_bucket_histogram"],
        "histograms have the bounds that rules and dashboards rely on",
    ),
    ("OTEL_BSP_MAX_CONCURRENT_EXPORTS", &["1"], "batches are sent one after another"),
];

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// # Errors
    /// If one of them is set, with its name and the reason.
    pub(crate) fn check_supported(&self) -> anyhow::Result<()> {
        for (name, harmless, why) in UNSUPPORTED {
            // Its value isn't repeated, since that of some is a secret.
            match self.get(name) {
                Some(value) if !harmless.contains(&value.to_lowercase().as_str()) => {
                    bail!("{name} is set, and isn't supported: {why}; unset it")
                }
                _ => {}
            }
        }
        Ok(())
    }
}
