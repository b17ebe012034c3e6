//! The gRPC server around a service: health, reflection, deadlines, bounds, and no panic that takes others down.

mod open;
mod surroundings;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use http::Response;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower_http::catch_panic::CatchPanicLayer;

use self::open::Open;
use self::surroundings::SurroundingsLayer;
pub use self::surroundings::{DEFAULT_DEADLINE, LONGEST_DEADLINE, Later};
pub use crate::connections::incoming;
use crate::{Life, Phase, ending};

/// What health says is serving for as long as the process answers at all: to ask whether it lives, apart from whether it
/// is ready.
pub const LIVE: &str = "live";
/// Streams on one connection at a time: a web process watches up to 1,000 parcels beside its short calls.
const MAX_STREAMS: u32 = 2_000;
/// Bytes of a request that may be on their way before anybody reads it, and those of all requests on a connection: the largest
/// request has some KiB. HTTP/2's libraries would take 1 MiB of each.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Streams of a connection that its client has given up before they were looked at; with more it counts as an attacker, and
/// loses the connection. A process that stood still finds as many as there can be streams: with the usual 20 its clients
/// would be attackers for having waited.
const MAX_RESET_STREAMS: usize = MAX_STREAMS as usize;

/// The services of a server, with health, and with reflection if that is wanted, for exactly those.
pub struct Services {
    routes: RoutesBuilder,
    names: Vec<&'static str>,
    reflection: bool,
}

impl Default for Services {
    fn default() -> Self {
        Self { routes: Routes::builder(), names: Vec::new(), reflection: false }
    }
}

impl Services {
    /// The same, which say what they are to whoever asks, if `reflection` is on.
    #[must_use]
    pub fn with_reflection(self, reflection: bool) -> Self {
        Self { reflection, ..self }
    }

    /// Adds the service `name` (with its package); `add` puts its server into the routes.
    pub fn add(&mut self, name: &'static str, add: impl FnOnce(&mut RoutesBuilder)) {
        add(&mut self.routes);
        self.names.push(name);
    }

    /// Health alone, for the services `names`, which are not there yet: calls to them are answered with UNAVAILABLE.
    ///
    /// # Errors
    /// As [`Services::finish`].
    pub async fn absent(names: &[&'static str], life: &Life) -> anyhow::Result<Routes> {
        let services = Self { names: names.to_vec(), ..Self::default() };
        let mut routes = services.finish(life).await?;
        let router = routes.axum_router_mut();
        *router = std::mem::take(router)
            .fallback(async || Status::unavailable("the service isn't ready yet, come again").into_http::<Body>());
        Ok(routes)
    }

    /// Adds health, and reflection if it is wanted, and closes the list. Health says of each service, and of "" for all, that it serves while
    /// `life` is ready; of [`LIVE`] always.
    ///
    /// # Errors
    /// If the descriptors are damaged, which a build can't produce.
    pub async fn finish(mut self, life: &Life) -> anyhow::Result<Routes> {
        let (mut reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status(LIVE, ServingStatus::Serving).await;
        let names = [&[""], &*self.names].concat();
        let mut phase = life.phase();
        let now = phase.borrow_and_update().clone();
        say(&reporter, &names, &now).await;
        let stopping = life.stopping();
        life.spawn("health", async move {
            let following = async {
                while phase.changed().await.is_ok() {
                    let now = phase.borrow_and_update().clone();
                    say(&reporter, &names, &now).await;
                }
            };
            tokio::select! { () = following => {} () = stopping => {} }
            say(&reporter, &names, &Phase::Leaving).await;
            // Who watches has heard the last of it: an open stream would hold up the drain.
            for name in names.iter().chain(&[LIVE]) {
                reporter.clear_service_status(name).await;
            }
        });
        let watches = Arc::new(Semaphore::new(open::HEALTH_STREAMS));
        let health = health.max_decoding_message_size(open::HEALTH_BYTES);
        self.routes.add_service(Open::new(health, &watches, None, life));
        if self.reflection {
            let (streams, lasts) = (Arc::new(Semaphore::new(open::REFLECTION_STREAMS)), Some(open::REFLECTION_LASTS));
            let v1 = self.reflected().build_v1()?.max_decoding_message_size(open::REFLECTION_BYTES);
            // Older tools ask for the version before it.
            let v1alpha = self.reflected().build_v1alpha()?.max_decoding_message_size(open::REFLECTION_BYTES);
            self.routes.add_service(Open::new(v1, &streams, lasts, life));
            self.routes.add_service(Open::new(v1alpha, &streams, lasts, life));
        }
        Ok(self.routes.routes().prepare())
    }

    /// What reflection says.
    fn reflected(&self) -> tonic_reflection::server::Builder<'static> {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(selvage_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // With them a client that knows only us can read the details of an error.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.reflection.v1.ServerReflection")
            .with_service_name("grpc.reflection.v1alpha.ServerReflection")
            .with_service_name("grpc.health.v1.Health");
        self.names.iter().fold(builder, |builder, name| builder.with_service_name(*name))
    }
}

/// Says of the services `names` whether they should be called.
async fn say(reporter: &HealthReporter, names: &[&'static str], phase: &Phase) {
    let status = if *phase == Phase::Ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in names {
        reporter.set_service_status(*name, status).await;
    }
}

/// Serves `routes` to the connections of `incoming` until the end of `life`, as [`serve_later`] does.
///
/// # Errors
/// If the listener fails.
pub async fn serve<I, C, E>(routes: Routes, incoming: I, life: &Life) -> anyhow::Result<()>
where
    I: Stream<Item = Result<C, E>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    serve_later(routes, Later::default(), incoming, life).await
}

/// Serves `first`, and `later` once it is set, to the connections of `incoming` until the end of `life`, then lets those in flight finish, at most
/// [`ending::CALLS`].
///
/// # Errors
/// If the listener fails.
pub async fn serve_later<I, C, E>(first: Routes, later: Later, incoming: I, life: &Life) -> anyhow::Result<()>
where
    I: Stream<Item = Result<C, E>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let serving = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_pending_accept_reset_streams(Some(MAX_RESET_STREAMS))
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .http2_max_header_list_size(16 * 1024)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .layer(CatchPanicLayer::custom(internal))
        .layer(SurroundingsLayer(later))
        .add_routes(first)
        .serve_with_incoming_shutdown(incoming, life.stopping());
    let cut_off = async {
        life.stopping().await;
        tokio::time::sleep(ending::CALLS).await;
    };
    tokio::select! {
        served = serving => served?,
        () = cut_off => tracing::warn!("some calls didn't end in time and were cut off"),
    }
    Ok(())
}

/// A handler that panicked fails its own call; without this the connection would break under all calls on it.
fn internal(panic: Box<dyn Any + Send>) -> Response<Body> {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message, "a handler panicked");
    Status::internal("something went wrong on our side").into_http()
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use h2::Reason;
    use http::Request;
    use hyper::body::Bytes;
    use tokio::task::yield_now;

    use super::*;

    fn asked(path: &str) -> Request<()> {
        let request = Request::post(format!("http://test{path}")).header("content-type", "application/grpc");
        request.body(()).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_stood_still_takes_no_client_that_gave_up_for_an_attacker() {
        // It doesn't read yet, as after SIGSTOP; what is sent has room in between.
        let (ours, theirs) = tokio::io::duplex(1024 * 1024);
        let (mut client, connection) =
            h2::client::Builder::new().initial_max_send_streams(1_000).handshake::<_, Bytes>(theirs).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..200 {
            let (_, mut call) = client.send_request(asked("/test.v1.Test/Read"), false).unwrap();
            // The connection's task writes down the call, and then that it is given up.
            yield_now().await;
            call.send_reset(Reason::CANCEL);
            yield_now().await;
        }
        let life = Life::new();
        let routes = Services::default().finish(&life).await.unwrap();
        let incoming = stream::iter([Ok::<_, std::io::Error>(ours)]).chain(stream::pending());
        let on = life.clone();
        tokio::spawn(async move { serve(routes, incoming, &on).await });
        let (answer, mut call) = client.send_request(asked("/grpc.health.v1.Health/Check"), false).unwrap();
        call.send_data(Bytes::from_static(&[0; 5]), true).unwrap();
        let answer = answer.await.expect("the connection goes on");
        assert_eq!((answer.status().as_u16(), answer.headers().get("grpc-status")), (200, None));
        life.end();
    }
}
