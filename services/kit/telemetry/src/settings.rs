//! What OpenTelemetry's standard variables ask for: where traces and metrics go, and how spans are gathered.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::otlp::settings::Otlp;

/// How spans are gathered before they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Spans that may wait; those beyond are dropped, and counted.
    pub(crate) queue: usize,
    /// Spans that are sent together.
    pub(crate) size: usize,
    /// The longest that one waits for others.
    pub(crate) delay: Duration,
    /// The longest that sending may take.
    pub(crate) timeout: Duration,
    /// Longer texts in attributes are cut off, by bytes.
    pub(crate) text: Option<usize>,
}

/// How traces are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traces {
    pub(crate) otlp: Otlp,
    pub(crate) batch: Batch,
}

/// Metrics are kept for Prometheus, and sent where there is a collector for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metrics {
    pub(crate) otlp: Option<Otlp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) traces: Option<Traces>,
    pub(crate) metrics: Option<Metrics>,
    /// Trace contexts are taken from callers and given to callees.
    pub(crate) propagate: bool,
    /// What the process is called: attributes, the later ones winning.
    pub(crate) resource: Vec<(String, String)>,
}

/// Reads variables; an empty one counts as unset.
pub(crate) struct Variables<F>(pub(crate) F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn list(&self, name: &str) -> Option<Vec<String>> {
        Some(self.get(name)?.split(',').map(|item| item.trim().to_owned()).collect())
    }

    pub(crate) fn number(&self, name: &str, default: u64) -> anyhow::Result<u64> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().with_context(|| format!("{name} is '{text}': it must be a whole number"))
    }

    fn traces(&self) -> anyhow::Result<Option<Traces>> {
        let wanted = match self.get("OTEL_TRACES_EXPORTER").as_deref() {
            None => self.of("TRACES", "ENDPOINT").is_some(),
            Some("otlp") => true,
            Some("none") => false,
            Some(other) => bail!("OTEL_TRACES_EXPORTER is '{other}': it must be otlp or none"),
        };
        self.check_sampler()?;
        self.check_counts()?;
        let batch = self.batch()?;
        // A collector that nothing is sent to may be any.
        wanted.then(|| Ok(Traces { otlp: self.otlp("TRACES")?, batch })).transpose()
    }

    fn metrics(&self) -> anyhow::Result<Option<Metrics>> {
        self.check_sending_of_metrics()?;
        let Some(list) = self.list("OTEL_METRICS_EXPORTER") else {
            let otlp = self.of("METRICS", "ENDPOINT").map(|_| self.otlp("METRICS")).transpose()?;
            return Ok(Some(Metrics { otlp }));
        };
        let strange = list.iter().find(|item| !["otlp", "prometheus", "none"].contains(&item.as_str()));
        if let Some(strange) = strange {
            bail!("OTEL_METRICS_EXPORTER has '{strange}' in it: it must be otlp, prometheus, both, or none");
        }
        let has = |wanted: &str| list.iter().any(|item| item == wanted);
        ensure!(
            !has("none") || list.len() == 1,
            "OTEL_METRICS_EXPORTER is 'none' and something: it must be one of them"
        );
        let otlp = has("otlp").then(|| self.otlp("METRICS")).transpose()?;
        Ok((!has("none")).then_some(Metrics { otlp }))
    }

    fn batch(&self) -> anyhow::Result<Batch> {
        let milliseconds = |name: &str, default| self.number(name, default).map(Duration::from_millis);
        let count = |name: &str, default| -> anyhow::Result<usize> {
            let count = usize::try_from(self.number(name, default)?)?;
            ensure!((1..=1_000_000).contains(&count), "{name} is {count}: it must be 1 to 1000000");
            Ok(count)
        };
        let queue = count("OTEL_BSP_MAX_QUEUE_SIZE", 2_048)?;
        let size = count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512.min(queue as u64))?;
        ensure!(
            size <= queue,
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE is {size} and OTEL_BSP_MAX_QUEUE_SIZE {queue}: a batch of {size} would never be \
             full, so lower the first to {queue} or raise the second"
        );
        let limit = ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"];
        let limit = limit.into_iter().find(|name| self.get(name).is_some());
        let text = limit.map(|name| self.number(name, 0)).transpose()?.map(usize::try_from).transpose()?;
        Ok(Batch {
            queue,
            size,
            delay: milliseconds("OTEL_BSP_SCHEDULE_DELAY", 5_000)?.max(Duration::from_millis(10)),
            timeout: milliseconds("OTEL_BSP_EXPORT_TIMEOUT", 30_000)?.max(Duration::from_millis(10)),
            text,
        })
    }

    /// The SDK reads these by itself. It records everything if it doesn't know a value, so that is refused here.
    fn check_sampler(&self) -> anyhow::Result<()> {
        let sampler = self.get("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
        let of_all = ["always_on", "always_off", "parentbased_always_on", "parentbased_always_off"];
        if of_all.contains(&sampler.as_str()) {
            return Ok(());
        }
        ensure!(
            ["traceidratio", "parentbased_traceidratio"].contains(&sampler.as_str()),
            "OTEL_TRACES_SAMPLER is '{sampler}': it must be one of {}, traceidratio, parentbased_traceidratio",
            of_all.join(", ")
        );
        let Some(ratio) = self.get("OTEL_TRACES_SAMPLER_ARG") else { return Ok(()) };
        let sound = ratio.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio));
        ensure!(sound, "OTEL_TRACES_SAMPLER_ARG is '{ratio}': it must be a share of the traces, 0.0 to 1.0");
        Ok(())
    }

    /// The SDK reads these by itself too, and takes its default where it doesn't understand one.
    fn check_counts(&self) -> anyhow::Result<()> {
        for what in ["ATTRIBUTE", "EVENT", "LINK"] {
            let name = format!("OTEL_SPAN_{what}_COUNT_LIMIT");
            let count = self.number(&name, 0)?;
            ensure!(count <= u32::MAX.into(), "{name} is {count}: it must be 0 to {}", u32::MAX);
        }
        Ok(())
    }

    /// The same for how metrics are sent.
    fn check_sending_of_metrics(&self) -> anyhow::Result<()> {
        const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        self.number("OTEL_METRIC_EXPORT_INTERVAL", 60_000)?;
        let temporality = self.get(TEMPORALITY).unwrap_or_else(|| "cumulative".to_owned());
        let is_known = ["cumulative", "delta", "lowmemory"].contains(&temporality.to_lowercase().as_str());
        ensure!(is_known, "{TEMPORALITY} is '{temporality}': it must be cumulative, delta or lowmemory");
        Ok(())
    }

    /// Whether trace contexts are taken from callers. Baggage never is, since it would go on to callees and into what they
    /// record; a list that names it is accepted all the same, since the standard's default does.
    fn propagate(&self) -> anyhow::Result<bool> {
        let Some(list) = self.list("OTEL_PROPAGATORS") else { return Ok(true) };
        let strange = list.iter().find(|item| !["tracecontext", "baggage", "none"].contains(&item.as_str()));
        if let Some(strange) = strange {
            bail!("OTEL_PROPAGATORS has '{strange}' in it: tracecontext is what is spoken here, or none");
        }
        Ok(list.iter().any(|item| item == "tracecontext"))
    }
}

impl Settings {
    /// Reads the settings from the variables that `get` returns.
    ///
    /// # Errors
    /// If a variable's value makes no sense or isn't supported; the error names it and what it may be.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let variables = Variables(get);
        match variables.get("OTEL_SDK_DISABLED").map(|value| value.to_lowercase()).as_deref() {
            Some("true") => {
                return Ok(Self { traces: None, metrics: None, propagate: false, resource: Vec::new() });
            }
            None | Some("false") => {}
            Some(other) => bail!("OTEL_SDK_DISABLED is '{other}': it must be true or false"),
        }
        if let Some(logs) = variables.get("OTEL_LOGS_EXPORTER").filter(|value| value != "none") {
            bail!(
                "OTEL_LOGS_EXPORTER is '{logs}': logs go to standard error, where collectors find them; it must be none"
            );
        }
        variables.check_supported()?;
        let (traces, metrics) = (variables.traces()?, variables.metrics()?);
        Ok(Self { traces, metrics, propagate: variables.propagate()?, resource: variables.resource()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::settings::Protocol;

    fn read(variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Settings::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_sent_unless_somebody_says_where() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.traces, None);
        assert_eq!(settings.metrics, Some(Metrics { otlp: None }), "they are there for whoever asks");
        let settings = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")]).unwrap();
        assert!(settings.traces.is_some() && settings.metrics.unwrap().otlp.is_some() && settings.propagate);
        let traces = read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4317")]).unwrap();
        assert!(traces.traces.is_some() && traces.metrics.unwrap().otlp.is_none());
        let neither = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_TRACES_EXPORTER", "none")];
        assert_eq!(read(&neither).unwrap().traces, None);
        assert_eq!(read(&[("OTEL_SDK_DISABLED", "true")]).unwrap().metrics, None);
        assert!(read(&[("OTEL_SDK_DISABLED", "")]).unwrap().metrics.is_some(), "empty is unset");
    }

    #[test]
    fn a_collector_that_nothing_is_sent_to_keeps_nobody_from_starting() {
        let by_https = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ];
        assert!(read(&by_https).is_err(), "it can't be spoken to");
        let nothing = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "prometheus")];
        let settings = read(&[&by_https[..], &nothing].concat()).unwrap();
        assert!(settings.traces.is_none() && settings.metrics.unwrap().otlp.is_none());
    }

    #[test]
    fn protocols_and_batches_are_what_was_asked_for() {
        let asked = [
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
            ("OTEL_METRICS_EXPORTER", "otlp,prometheus"),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "64"),
            ("OTEL_PROPAGATORS", "none"),
        ];
        let settings = read(&asked).unwrap();
        let traces = settings.traces.unwrap();
        assert_eq!((traces.otlp.protocol, traces.batch.queue, traces.batch.size), (Protocol::HttpProtobuf, 100, 100));
        assert_eq!((traces.batch.delay, traces.batch.text), (Duration::from_millis(200), Some(64)));
        assert_eq!(settings.metrics.unwrap().otlp.unwrap().protocol, Protocol::Grpc);
        assert!(!settings.propagate);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (name, value) in [
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_METRICS_EXPORTER", "statsd"),
            ("OTEL_METRICS_EXPORTER", "none,otlp"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_PROPAGATORS", "b3"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_SDK_DISABLED", "yes"),
            ("OTEL_SPAN_EVENT_COUNT_LIMIT", "few"),
            ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "newest"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team"),
            ("OTEL_LOG_LEVEL", "debug"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "7"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4317"),
            ("OTEL_EXPORTER_PROMETHEUS_PORT", "9464"),
            ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://c:9411"),
            ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on"),
            ("OTEL_CONFIG_FILE", "/etc/otel.yaml"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        assert!(read(&[("OTEL_METRICS_EXEMPLAR_FILTER", "always_off"), ("OTEL_LOG_LEVEL", "")]).is_ok());
        let ratio = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "7")];
        assert!(read(&ratio).unwrap_err().to_string().contains("0.0 to 1.0"));
        let batch = [("OTEL_BSP_MAX_QUEUE_SIZE", "10"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "20")];
        assert!(read(&batch).unwrap_err().to_string().contains("never be full"));
    }
}
