//! What Jaeger's API says, in the form that its own page reads.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::span::{Link, Span};

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Vec<Found>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(default)]
    spans: Vec<Recorded>,
    #[serde(default)]
    processes: BTreeMap<String, Process>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    service_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recorded {
    #[serde(rename = "spanID")]
    span_id: String,
    operation_name: String,
    #[serde(default)]
    references: Vec<Reference>,
    start_time: u64,
    duration: u64,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    logs: Vec<Log>,
    #[serde(rename = "processID", default)]
    process_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: String,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Log {
    #[serde(default)]
    fields: Vec<Tag>,
}

/// The spans of the one trace in the answer.
pub(super) fn spans(answer: &[u8]) -> anyhow::Result<Vec<Span>> {
    let answer: Answer = serde_json::from_slice(answer).context("the answer isn't what Jaeger's API sends")?;
    let found = answer.data.into_iter().next().context("Jaeger found the trace and sent nothing of it")?;
    let Found { trace_id, spans, processes } = found;
    let service = |id: &str| processes.get(id).map_or_else(|| "?".to_owned(), |found| found.service_name.clone());
    let span = |recorded: Recorded| {
        let mut span = Span {
            service: service(&recorded.process_id),
            id: recorded.span_id,
            name: recorded.operation_name,
            start: recorded.start_time,
            duration: recorded.duration,
            tags: recorded.tags.into_iter().map(|tag| (tag.key, text(tag.value))).collect(),
            events: recorded.logs.into_iter().filter_map(event).collect(),
            ..Span::default()
        };
        for Reference { ref_type, trace_id: trace, span_id } in recorded.references {
            // A parent comes as the reference CHILD_OF; links are FOLLOWS_FROM, wherever they lead.
            if ref_type == "CHILD_OF" && trace == trace_id && span.parent.is_none() {
                span.parent = Some(span_id);
            } else {
                span.links.push(Link { trace, span: span_id });
            }
        }
        span
    };
    Ok(spans.into_iter().map(span).collect())
}

fn event(log: Log) -> Option<String> {
    log.fields.into_iter().find(|field| field.key == "event").map(|field| text(field.value))
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
