//! What surrounds each call, whatever it asks for.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Bytes};
use selvage_context::{deadline, lease};
use selvage_telemetry::calls::Call;
use selvage_telemetry::observed::{self, Observed};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{Layer, Service};

/// The longest that any rpc may run, whatever time its caller names.
pub const LONGEST_DEADLINE: Duration = Duration::from_secs(30);
/// What a caller gets that names no time.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// The methods that every server has, beside those of the descriptors in `proto/`.
const OF_EVERY_SERVER: [&str; 4] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// How tonic refuses a message beyond a service's limit, with the code OUT_OF_RANGE; gRPC's own libraries say
/// RESOURCE_EXHAUSTED, which is what callers know.
const TOO_LARGE: &str = "decoded message length too large: ";

/// The method that `path` leads to, if there is such a one: names of metrics and spans are never a caller's own.
fn method(path: &str) -> Option<&'static str> {
    let asked = path.strip_prefix('/')?;
    let of_every = || OF_EVERY_SERVER.into_iter().find(|method| *method == asked);
    selvage_proto::rpc(asked).or_else(of_every)
}

/// The routes of a server whose services aren't there yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Later(Arc<OnceLock<Routes>>);

impl Later {
    /// They are there, and answer everything from now on.
    pub fn set(&self, routes: Routes) {
        // Err: they were there before.
        let _ = self.0.set(routes);
    }
}

/// Runs each call in its span, within the deadline that its caller sent, and with leases counted.
#[derive(Clone, Debug)]
pub(super) struct SurroundingsLayer(pub(super) Later);

impl Layer<Routes> for SurroundingsLayer {
    type Service = Surroundings;

    fn layer(&self, first: Routes) -> Surroundings {
        Surroundings { first, later: self.0.clone() }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    first: Routes,
    later: Later,
}

impl<B> Service<Request<B>> for Surroundings
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Observed<Body>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    // Routes are always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let asked = request.headers().get("grpc-timeout").and_then(|value| deadline::from_grpc(value.to_str().ok()?));
        let at = Instant::now() + asked.unwrap_or(DEFAULT_DEADLINE).min(LONGEST_DEADLINE);
        let call = Call::served(method(request.uri().path()), request.headers());
        let answering = match self.later.0.get() {
            Some(routes) => routes.clone().call(request),
            None => self.first.call(request),
        };
        let work = async move {
            match timeout_at(at, deadline::scope(at, lease::tracked(answering))).await {
                Ok(answered) => answered.map(known_by_its_code),
                Err(_) => Ok(Status::deadline_exceeded("the time that the call had is over").into_http()),
            }
        };
        Box::pin(observed::call(call, work, |_: &Infallible| "INTERNAL"))
    }
}

/// The answer, with the code that callers know where a message was too large.
fn known_by_its_code(answer: Response<Body>) -> Response<Body> {
    let refusal = Status::from_header_map(answer.headers()).filter(|status| status.code() == Code::OutOfRange);
    match refusal.as_ref().and_then(|status| status.message().split_once(TOO_LARGE)) {
        Some((_, sizes)) => Status::resource_exhausted(format!("the message is too large: {sizes}")).into_http(),
        None => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_there_are_have_a_name() {
        let known = selvage_proto::rpcs().next().unwrap();
        assert_eq!(method(&format!("/{known}")), Some(known));
        assert_eq!(method("/grpc.health.v1.Health/Check"), Some("grpc.health.v1.Health/Check"));
        let service = known.split('/').next().unwrap();
        for made_up in [known, "/", "", "//", &format!("/{service}/MadeUp1"), &format!("/{known}/"), "/a.b/C"] {
            assert_eq!(method(made_up), None, "{made_up}");
        }
    }
}
