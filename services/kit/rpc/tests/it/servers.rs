//! Servers that can be told how to misbehave.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use selvage_context::deadline;
use selvage_proto::cart::v1::cart_server::{Cart, CartServer};
use selvage_proto::cart::v1::{
    AddItemRequest, CartView, EmptyCartRequest, GetCartRequest, MergeCartsRequest, RemoveItemRequest,
    RemoveOrderedLinesRequest, RemoveOrderedLinesResponse, UpdateItemRequest,
};
use selvage_rpc::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};

#[derive(Clone, Default)]
struct Behaviour {
    name: String,
    calls: Arc<AtomicU32>,
    refusal: Arc<Mutex<Option<Code>>>,
    hangs: Arc<AtomicBool>,
    timeout: Arc<Mutex<Option<Duration>>>,
}

impl Behaviour {
    async fn answer<T>(&self, request: &Request<T>) -> Result<Response<CartView>, Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let sent = request.metadata().get("grpc-timeout").and_then(|value| deadline::from_grpc(value.to_str().ok()?));
        *self.timeout.lock().unwrap() = sent;
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let refusal = *self.refusal.lock().unwrap();
        match refusal {
            Some(code) => Err(Status::new(code, "as it was told")),
            None => Ok(Response::new(CartView { etag: self.name.clone(), ..CartView::default() })),
        }
    }
}

#[tonic::async_trait]
impl Cart for Behaviour {
    async fn get_cart(&self, request: Request<GetCartRequest>) -> Result<Response<CartView>, Status> {
        self.answer(&request).await
    }

    async fn add_item(&self, request: Request<AddItemRequest>) -> Result<Response<CartView>, Status> {
        self.answer(&request).await
    }

    async fn update_item(&self, request: Request<UpdateItemRequest>) -> Result<Response<CartView>, Status> {
        self.answer(&request).await
    }

    async fn remove_item(&self, request: Request<RemoveItemRequest>) -> Result<Response<CartView>, Status> {
        self.answer(&request).await
    }

    async fn empty_cart(&self, request: Request<EmptyCartRequest>) -> Result<Response<CartView>, Status> {
        self.answer(&request).await
    }

    async fn merge_carts(&self, request: Request<MergeCartsRequest>) -> Result<Response<CartView>, Status> {
        self.answer(&request).await
    }

    async fn remove_ordered_lines(
        &self,
        request: Request<RemoveOrderedLinesRequest>,
    ) -> Result<Response<RemoveOrderedLinesResponse>, Status> {
        self.answer(&request).await.map(|_| Response::new(RemoveOrderedLinesResponse {}))
    }
}

/// A server on a free port. Its name is its address.
pub(crate) struct Instance {
    pub(crate) address: SocketAddr,
    pub(crate) calls: Arc<AtomicU32>,
    behaviour: Behaviour,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl Instance {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// At an address that was another's.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let behaviour = Behaviour { name: address.to_string(), ..Behaviour::default() };
        let stop = CancellationToken::new();
        let serving = Server::builder()
            .add_service(CartServer::new(behaviour.clone()))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.clone().cancelled_owned());
        let server = tokio::spawn(async move { serving.await.expect("it serves") });
        Self { address, calls: behaviour.calls.clone(), behaviour, stop, server }
    }

    pub(crate) fn refuse(&self, code: Option<Code>) {
        *self.behaviour.refusal.lock().unwrap() = code;
    }

    pub(crate) fn hang(&self) {
        self.behaviour.hangs.store(true, Ordering::SeqCst);
    }

    pub(crate) fn last_timeout(&self) -> Option<Duration> {
        *self.behaviour.timeout.lock().unwrap()
    }

    /// Finishes what is in flight, and ends.
    pub(crate) async fn drain(self) {
        self.stop.cancel();
        self.server.await.expect("it drains");
    }

    /// Ends in the middle of everything.
    pub(crate) fn kill(&self) {
        self.server.abort();
    }
}

pub(crate) fn serve_in_process(incoming: Incoming) -> JoinHandle<()> {
    let behaviour = Behaviour { name: "in process".into(), ..Behaviour::default() };
    let serving = Server::builder().add_service(CartServer::new(behaviour)).serve_with_incoming(incoming);
    tokio::spawn(async move { serving.await.expect("it serves") })
}

/// A proxy that passes everything on until it is told to swallow it: what a broken network looks like.
pub(crate) struct BlackHole {
    pub(crate) address: SocketAddr,
    swallows: CancellationToken,
}

impl BlackHole {
    pub(crate) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let swallows = CancellationToken::new();
        let swallowing = swallows.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let swallowing = swallowing.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.expect("the server is there");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        // Both sockets stay open, and nothing comes through any more.
                        () = swallowing.cancelled() => std::future::pending().await,
                    }
                });
            }
        });
        Self { address, swallows }
    }

    pub(crate) fn swallow(&self) {
        self.swallows.cancel();
    }
}
