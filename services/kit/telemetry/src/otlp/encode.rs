//! Spans in the protobuf of `opentelemetry/proto/trace/v1/trace.proto`; the numbers of fields are from there.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanKind, Status};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope as ScopeMessage;
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// `SpanFlags`: it is known whether the parent is in another process, and it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Spans that are sent together.
#[derive(Default)]
pub(crate) struct Spans {
    count: usize,
    /// Each scope, and its spans as they are encoded within its message.
    scopes: Vec<(InstrumentationScope, Vec<u8>)>,
}

impl Spans {
    /// Adds a span. Texts in its attributes are cut off after `longest` bytes.
    pub(crate) fn put(&mut self, span: &SpanData, longest: Option<usize>) {
        self.count += 1;
        let place = self.scopes.iter().position(|(scope, _)| *scope == span.instrumentation_scope);
        let place = place.unwrap_or_else(|| {
            self.scopes.push((span.instrumentation_scope.clone(), Vec::new()));
            self.scopes.len() - 1
        });
        Writer(&mut self.scopes[place].1).message(2, |to| write_span(to, span, longest.unwrap_or(usize::MAX)));
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// An `ExportTraceServiceRequest` with all spans. `resource` is the encoded message that says whose they are.
    pub(crate) fn request(&self, resource: &[u8]) -> Vec<u8> {
        let scopes: Vec<_> = self.scopes.iter().map(|(scope, spans)| (scope_message(scope), spans)).collect();
        let inner = |scope: &[u8], spans: &[u8]| framed(scope.len()) + spans.len();
        let resource_spans =
            framed(resource.len()) + scopes.iter().map(|(scope, spans)| framed(inner(scope, spans))).sum::<usize>();
        let mut request = Vec::with_capacity(framed(resource_spans));
        let mut to = Writer(&mut request);
        to.frame(1, resource_spans);
        to.bytes(1, resource);
        for (scope, spans) in scopes {
            to.frame(2, inner(&scope, spans));
            to.bytes(1, &scope);
            to.0.extend_from_slice(spans);
        }
        request
    }
}

/// How many bytes a field takes that has `length` bytes of content and a number below 16.
fn framed(length: usize) -> usize {
    key_len(1) + encoded_len_varint(length as u64) + length
}

/// The encoded message that says whose spans these are.
pub(crate) fn resource(resource: &Resource) -> Vec<u8> {
    let attributes = ResourceAttributesWithSchema::from(resource).attributes.0;
    ResourceMessage { attributes, ..ResourceMessage::default() }.encode_to_vec()
}

fn scope_message(scope: &InstrumentationScope) -> Vec<u8> {
    ScopeMessage::from((scope, None)).encode_to_vec()
}

fn write_span(to: &mut Writer<'_>, span: &SpanData, longest: usize) {
    to.ids(1, &span.span_context);
    to.text(3, &span.span_context.trace_state().header());
    if span.parent_span_id != opentelemetry::trace::SpanId::INVALID {
        to.bytes(4, &span.parent_span_id.to_bytes());
    }
    to.text(5, &span.name);
    to.number(6, kind(&span.span_kind));
    to.fixed64(7, nanoseconds(span.start_time));
    to.fixed64(8, nanoseconds(span.end_time));
    to.attributes(9, &span.attributes, longest);
    to.number(10, span.dropped_attributes_count.into());
    for event in span.events.iter() {
        to.message(11, |to| {
            to.fixed64(1, nanoseconds(event.timestamp));
            to.text(2, &event.name);
            to.attributes(3, &event.attributes, longest);
            to.number(4, event.dropped_attributes_count.into());
        });
    }
    to.number(12, span.events.dropped_count.into());
    for link in span.links.iter() {
        to.message(13, |to| {
            to.ids(1, &link.span_context);
            to.text(3, &link.span_context.trace_state().header());
            to.attributes(4, &link.attributes, longest);
            to.number(5, link.dropped_attributes_count.into());
            to.fixed32(6, flags(&link.span_context, link.span_context.is_remote()));
        });
    }
    to.number(14, span.links.dropped_count.into());
    to.message(15, |to| match &span.status {
        Status::Unset => {}
        Status::Ok => to.number(3, 1),
        Status::Error { description } => {
            to.text(2, description);
            to.number(3, 2);
        }
    });
    to.fixed32(16, flags(&span.span_context, span.parent_span_is_remote));
}

const fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn flags(context: &SpanContext, remote: bool) -> u32 {
    u32::from(context.trace_flags().to_u8()) | HAS_IS_REMOTE | if remote { IS_REMOTE } else { 0 }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Appends encoded fields. Fields with their default value are left out, as proto3 does.
struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn frame(&mut self, field: u32, length: usize) {
        encode_key(field, WireType::LengthDelimited, self.0);
        encode_varint(length as u64, self.0);
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.frame(field, bytes.len());
            self.0.extend_from_slice(bytes);
        }
    }

    fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn number(&mut self, field: u32, number: u64) {
        if number != 0 {
            encode_key(field, WireType::Varint, self.0);
            encode_varint(number, self.0);
        }
    }

    fn fixed64(&mut self, field: u32, number: u64) {
        if number != 0 {
            encode_key(field, WireType::SixtyFourBit, self.0);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn fixed32(&mut self, field: u32, number: u32) {
        if number != 0 {
            encode_key(field, WireType::ThirtyTwoBit, self.0);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Writes a message whose length is known only at its end. Most have less than 128 bytes, so one byte is kept for the
    /// length; the content of a longer one is moved to make room.
    fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.frame(field, 0);
        let from = self.0.len();
        write(&mut Writer(self.0));
        let length = self.0.len() - from;
        let more = encoded_len_varint(length as u64) - 1;
        if more > 0 {
            self.0.resize(from + length + more, 0);
            self.0.copy_within(from..from + length, from + more);
        }
        encode_varint(length as u64, &mut &mut self.0[from - 1..from + more]);
    }

    /// A trace's id and a span's, in two fields that follow each other.
    fn ids(&mut self, field: u32, context: &SpanContext) {
        self.bytes(field, &context.trace_id().to_bytes());
        self.bytes(field + 1, &context.span_id().to_bytes());
    }

    fn attributes(&mut self, field: u32, attributes: &[KeyValue], longest: usize) {
        for attribute in attributes {
            self.message(field, |to| {
                to.text(1, attribute.key.as_str());
                to.message(2, |to| to.value(&attribute.value, longest));
            });
        }
    }

    /// Writes an `AnyValue`. It is one of several kinds, so it is written even if it is the default of its kind.
    fn value(&mut self, value: &Value, longest: usize) {
        match value {
            Value::String(text) => {
                let text = text.as_str();
                let text = &text[..text.floor_char_boundary(longest)];
                self.frame(1, text.len());
                self.0.extend_from_slice(text.as_bytes());
            }
            Value::Bool(truth) => {
                encode_key(2, WireType::Varint, self.0);
                encode_varint(u64::from(*truth), self.0);
            }
            Value::I64(number) => {
                encode_key(3, WireType::Varint, self.0);
                encode_varint(number.cast_unsigned(), self.0);
            }
            Value::F64(number) => {
                encode_key(4, WireType::SixtyFourBit, self.0);
                self.0.extend_from_slice(&number.to_le_bytes());
            }
            Value::Array(values) => self.message(5, |to| to.array(values, longest)),
            // The library may add kinds of values; this version has no other.
            _ => {}
        }
    }

    fn array(&mut self, values: &Array, longest: usize) {
        let mut one = |value: Value| self.message(1, |to| to.value(&value, longest));
        match values {
            Array::Bool(values) => values.iter().for_each(|value| one((*value).into())),
            Array::I64(values) => values.iter().for_each(|value| one((*value).into())),
            Array::F64(values) => values.iter().for_each(|value| one((*value).into())),
            Array::String(values) => values.iter().for_each(|value| one(value.clone().into())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::trace::{Event, Link, SpanId, TraceFlags, TraceId, TraceState};
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            proptest::num::f64::NORMAL.prop_map(Value::from),
            ".{0,200}".prop_map(Value::from),
            proptest::collection::vec(any::<i64>(), 0..4).prop_map(|list| Value::Array(list.into())),
            proptest::collection::vec(any::<bool>(), 0..4).prop_map(|list| Value::Array(list.into())),
            proptest::collection::vec("[a-zäß]{0,9}", 0..4)
                .prop_map(|list| Value::Array(Array::String(list.into_iter().map(Into::into).collect()))),
        ]
    }

    fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
        let attribute = ("[a-z.]{1,12}", values()).prop_map(|(key, value)| KeyValue::new(key, value));
        proptest::collection::vec(attribute, 0..6)
    }

    fn contexts() -> impl Strategy<Value = SpanContext> {
        (any::<u128>(), any::<u64>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(trace, span, sampled, remote, state)| {
                let state = if state { TraceState::from_key_value([("shop", "1")]).unwrap() } else { TraceState::NONE };
                let flags = TraceFlags::default().with_sampled(sampled);
                SpanContext::new(TraceId::from(trace), SpanId::from(span), flags, remote, state)
            },
        )
    }

    fn times() -> impl Strategy<Value = SystemTime> {
        (0_u64..1 << 62).prop_map(|nanoseconds| UNIX_EPOCH + Duration::from_nanos(nanoseconds))
    }

    fn statuses() -> impl Strategy<Value = Status> {
        prop_oneof![Just(Status::Unset), Just(Status::Ok), "[a-z]{0,9}".prop_map(Status::error)]
    }

    fn kinds() -> impl Strategy<Value = SpanKind> {
        prop_oneof![
            Just(SpanKind::Internal),
            Just(SpanKind::Server),
            Just(SpanKind::Client),
            Just(SpanKind::Producer),
            Just(SpanKind::Consumer),
        ]
    }

    prop_compose! {
        fn spans()(
            (span_context, parent, parent_span_is_remote, span_kind) in (contexts(), any::<u64>(), any::<bool>(), kinds()),
            (name, start_time, end_time, attributes, status) in (".{0,20}", times(), times(), attributes(), statuses()),
            (dropped_attributes_count, dropped, scope) in (0_u32..300, 0_u32..3, 0..3),
            events in proptest::collection::vec(("[a-z ]{0,9}", times(), attributes(), 0_u32..3), 0..3),
            links in proptest::collection::vec((contexts(), attributes(), 0_u32..3), 0..3),
        ) -> SpanData {
            let (mut all_events, mut all_links) = (SpanEvents::default(), SpanLinks::default());
            (all_events.dropped_count, all_links.dropped_count) = (dropped, dropped);
            all_events.events =
                events.into_iter().map(|(name, at, attributes, dropped)| Event::new(name, at, attributes, dropped)).collect();
            all_links.links =
                links.into_iter().map(|(context, attributes, dropped)| Link::new(context, attributes, dropped)).collect();
            SpanData {
                span_context,
                parent_span_id: SpanId::from(parent),
                parent_span_is_remote,
                span_kind,
                name: name.into(),
                start_time,
                end_time,
                attributes,
                dropped_attributes_count,
                events: all_events,
                links: all_links,
                status,
                instrumentation_scope: InstrumentationScope::builder(format!("scope {scope}")).build(),
            }
        }
    }

    proptest! {
        /// The library's own conversion is the reference.
        #[test]
        fn what_is_written_is_what_the_library_would_send(spans in proptest::collection::vec(spans(), 0..8)) {
            let of = Resource::builder_empty().with_service_name("shop").build();
            let mut ours = Spans::default();
            spans.iter().for_each(|span| ours.put(span, None));
            prop_assert_eq!(ours.count(), spans.len());
            let ours = ExportTraceServiceRequest::decode(&*ours.request(&resource(&of))).unwrap();
            let theirs = group_spans_by_resource_and_scope(spans, &ResourceAttributesWithSchema::from(&of));
            prop_assert_eq!(ours.resource_spans, theirs);
        }

        #[test]
        fn long_texts_are_cut_off_between_characters(text in "[a-zäß€]{0,40}", longest in 0_usize..30) {
            let mut bytes = Vec::new();
            Writer(&mut bytes).value(&Value::from(text.clone()), longest);
            let value = opentelemetry_proto::tonic::common::v1::AnyValue::decode(&*bytes).unwrap();
            let wanted = text[..text.floor_char_boundary(longest)].to_owned();
            prop_assert_eq!(value.value, Some(opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(wanted)));
        }
    }
}
