//! A provider whose calls are in traces and counted.

use std::sync::Arc;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use selvage_telemetry::TRACED;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::{Answer, Authorise, Provider, ProviderError};
use crate::domain::recovery::Authorisation;

/// Observes another provider.
pub(crate) struct Observed {
    provider: Arc<dyn Provider>,
    payments: Counter<u64>,
}

impl Observed {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Self {
        let payments = opentelemetry::global::meter("selvage.checkout")
            .u64_counter("selvage.payments")
            .with_unit("{payment}")
            .with_description("What was asked of the payment provider, by operation and what came of it.")
            .build();
        Self { provider, payments }
    }

    async fn observe<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, ProviderError>> + Send,
        outcome: impl FnOnce(&T) -> &'static str + Send,
    ) -> Result<T, ProviderError> {
        let span = tracing::info_span!(
            target: TRACED,
            "payment",
            otel.name = format_args!("payment {operation}"),
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            error.type = tracing::field::Empty,
            selvage.payment.outcome = tracing::field::Empty,
        );
        // A caller that gives up leaves this one's own word.
        let mut counted = Counted { observed: self, operation, outcome: "cancelled", span: span.clone() };
        let result = work.instrument(span).await;
        counted.outcome = match &result {
            Ok(value) => outcome(value),
            Err(ProviderError::Unknown(_)) => "unknown",
            Err(ProviderError::Refused(_)) => "refused",
        };
        result
    }
}

struct Counted<'a> {
    observed: &'a Observed,
    operation: &'static str,
    outcome: &'static str,
    span: Span,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let (operation, outcome) = (self.operation, self.outcome);
        self.span.record("selvage.payment.outcome", outcome);
        if ["cancelled", "refused", "unknown"].contains(&outcome) {
            self.span.record("error.type", outcome);
            self.span.record("otel.status_code", "ERROR");
        }
        let what = [KeyValue::new("operation", operation), KeyValue::new("outcome", outcome)];
        self.observed.payments.add(1, &what);
    }
}

#[async_trait]
impl Provider for Observed {
    async fn authorise(&self, request: Authorise) -> Result<Answer, ProviderError> {
        self.observe("authorise", self.provider.authorise(request), |answer| match answer {
            Answer::Approved => "approved",
            Answer::Declined => "declined",
        })
        .await
    }

    async fn lookup(&self, order_id: Uuid) -> Result<Authorisation, ProviderError> {
        self.observe("lookup", self.provider.lookup(order_id), |_| "done").await
    }

    async fn capture(&self, order_id: Uuid) -> Result<(), ProviderError> {
        self.observe("capture", self.provider.capture(order_id), |()| "done").await
    }

    async fn void(&self, order_id: Uuid) -> Result<(), ProviderError> {
        self.observe("void", self.provider.void(order_id), |()| "done").await
    }

    async fn refund(&self, order_id: Uuid) -> Result<(), ProviderError> {
        self.observe("refund", self.provider.refund(order_id), |()| "done").await
    }
}
