//! Cart, catalogue and delivery as they are told to be: what the real ones don't do at a word, they do here, which is to
//! refuse, to be silent, to change a price between two calls. What they are asked is written down.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use prost::Message;
use selvage_identity::caller;
use selvage_proto::cart::v1::cart_line::Availability;
use selvage_proto::cart::v1::{
    CartLine, CartView, GetCartRequest, RemoveOrderedLinesRequest, RemoveOrderedLinesResponse,
};
use selvage_proto::catalogue::v1::{
    CommitStockRequest, ReleaseStockRequest, Reservation, ReserveStockRequest, reservation,
};
use selvage_proto::delivery::v1::{
    CancelShipmentRequest, CreateShipmentRequest, DeliveryOption, QuoteDeliveryRequest, QuoteDeliveryResponse,
    Shipment, Speed,
};
use selvage_proto::money::v1::Money;
use selvage_proto::time::timestamp;
use tokio::sync::Notify;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::shop::NOON;

/// What the peers do, and what they were asked. Clones are the same script.
#[derive(Clone)]
pub(crate) struct Scripted {
    script: Arc<Mutex<Script>>,
    changed: Arc<Notify>,
}

pub(crate) struct Script {
    /// Everybody's cart.
    pub(crate) cart: CartView,
    pub(crate) options: Vec<DeliveryOption>,
    /// Until when the catalogue sets stock aside.
    pub(crate) held_until: i64,
    /// The last parcel that was asked for, the last lines that left a cart, and the last question for a price.
    pub(crate) parcel: Option<CreateShipmentRequest>,
    pub(crate) cleared: Option<RemoveOrderedLinesRequest>,
    pub(crate) question: Option<QuoteDeliveryRequest>,
    refusals: BTreeMap<&'static str, Status>,
    silent: BTreeSet<&'static str>,
    asked: Vec<Asked>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    method: String,
    /// The order, if it is about one.
    order_id: String,
    caller: String,
    refused: bool,
}

impl Default for Scripted {
    fn default() -> Self {
        let lines = vec![line("HOX-INK-M", 2, 3495), line("HOX-INK-L", 1, 1000)];
        let option = |speed: Speed, price| DeliveryOption {
            speed: speed.into(),
            price: Some(euro(price)),
            min_days: 1,
            max_days: 3,
        };
        let script = Script {
            cart: CartView { lines, subtotal: Some(euro(7990)), etag: "3".into(), ..CartView::default() },
            options: vec![option(Speed::Standard, 390), option(Speed::Express, 990)],
            held_until: NOON + 900_000,
            parcel: None,
            cleared: None,
            question: None,
            refusals: BTreeMap::new(),
            silent: BTreeSet::new(),
            asked: Vec::new(),
        };
        Self { script: Arc::new(Mutex::new(script)), changed: Arc::default() }
    }
}

pub(crate) fn euro(minor_units: i64) -> Money {
    Money { currency: "EUR".into(), minor_units }
}

/// A line that can be bought.
pub(crate) fn line(sku: &str, quantity: i32, price: i64) -> CartLine {
    CartLine {
        sku: sku.into(),
        quantity,
        slug: "hox-shirt".into(),
        title: "Hox shirt".into(),
        size: "M".into(),
        colour: "Ink".into(),
        unit_price: Some(euro(price)),
        availability: Availability::Available.into(),
        available: 50,
        picture_key: "shirt.relaxed.stripe.1d2a44.f2ede4".into(),
        grams: 250,
        ..CartLine::default()
    }
}

impl Scripted {
    /// The script, to be read or changed.
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Refuses `method` from now on.
    pub(crate) fn refuse(&self, method: &'static str, status: impl Into<Status>) {
        self.script().refusals.insert(method, status.into());
    }

    /// Doesn't answer `method` from now on.
    pub(crate) fn silence(&self, method: &'static str) {
        self.script().silent.insert(method);
    }

    /// Does `method` again; those who wait for its answer get it.
    pub(crate) fn answer(&self, method: &'static str) {
        self.script().refusals.remove(method);
        self.script().silent.remove(method);
        self.changed.notify_waiters();
    }

    /// How often `method` was asked for.
    pub(crate) fn asked(&self, method: &str) -> usize {
        self.script().asked.iter().filter(|asked| asked.method == method).count()
    }

    /// In whose names `method` was asked for.
    pub(crate) fn callers(&self, method: &str) -> BTreeSet<String> {
        let of_method = |asked: &&Asked| asked.method == method;
        self.script().asked.iter().filter(of_method).map(|asked| asked.caller.clone()).collect()
    }

    /// What was done about an order, in its sequence.
    pub(crate) fn done(&self, order_id: &str) -> Vec<String> {
        let done = |asked: &&Asked| asked.order_id == order_id && !asked.refused;
        self.script().asked.iter().filter(done).map(|asked| asked.method.clone()).collect()
    }

    async fn unary<Q, A>(
        self,
        method: String,
        request: http::Request<Body>,
        order_id: fn(&Q) -> &str,
        make: fn(&mut Script, Q) -> A,
    ) -> http::Response<Body>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let handler = tower::service_fn(move |request: Request<Q>| {
            let (this, method) = (self.clone(), method.clone());
            async move {
                let caller = caller(&request)?.subject().to_owned();
                let request = request.into_inner();
                let refusal = {
                    let mut script = this.script();
                    let refusal = script.refusals.get(method.as_str()).cloned();
                    let (method, order_id, refused) = (method.clone(), order_id(&request).into(), refusal.is_some());
                    script.asked.push(Asked { method, order_id, caller, refused });
                    refusal
                };
                loop {
                    let changed = this.changed.notified();
                    if !this.script().silent.contains(method.as_str()) {
                        break;
                    }
                    changed.await;
                }
                refusal.map_or_else(|| Ok(Response::new(make(&mut this.script(), request))), Err)
            }
        });
        Grpc::new(ProstCodec::default()).unary(handler, request).await
    }
}

fn reservation(reservation_id: String, state: reservation::State, until: i64) -> Reservation {
    Reservation { reservation_id, state: state.into(), lines: vec![], expire_time: Some(timestamp(until)) }
}

/// One of the peers, as tonic wants it: cart, catalogue or delivery.
#[derive(Clone)]
pub(crate) struct Peer<const SERVICE: usize>(pub(crate) Scripted);

impl<const SERVICE: usize> NamedService for Peer<SERVICE> {
    const NAME: &'static str =
        ["selvage.cart.v1.Cart", "selvage.catalogue.v1.Catalogue", "selvage.delivery.v1.Delivery"][SERVICE];
}

impl<const SERVICE: usize> tower::Service<http::Request<Body>> for Peer<SERVICE> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let script = self.0.clone();
        Box::pin(async move {
            let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            Ok(match method.as_str() {
                "GetCart" => {
                    script.unary(method, request, |_: &GetCartRequest| "", |script, _| script.cart.clone()).await
                }
                "RemoveOrderedLines" => {
                    let clear = |script: &mut Script, request| {
                        script.cleared = Some(request);
                        RemoveOrderedLinesResponse {}
                    };
                    script.unary(method, request, |asked: &RemoveOrderedLinesRequest| &asked.order_id, clear).await
                }
                "ReserveStock" => {
                    let hold = |script: &mut Script, request: ReserveStockRequest| {
                        reservation(request.reservation_id, reservation::State::Held, script.held_until)
                    };
                    script.unary(method, request, |asked: &ReserveStockRequest| &asked.reservation_id, hold).await
                }
                "CommitStock" => {
                    let commit = |_: &mut Script, request: CommitStockRequest| {
                        reservation(request.reservation_id, reservation::State::Committed, 0)
                    };
                    script.unary(method, request, |asked: &CommitStockRequest| &asked.reservation_id, commit).await
                }
                "ReleaseStock" => {
                    let release = |_: &mut Script, request: ReleaseStockRequest| {
                        reservation(request.reservation_id, reservation::State::Released, 0)
                    };
                    script.unary(method, request, |asked: &ReleaseStockRequest| &asked.reservation_id, release).await
                }
                "QuoteDelivery" => {
                    let quote = |script: &mut Script, request| {
                        script.question = Some(request);
                        QuoteDeliveryResponse { options: script.options.clone() }
                    };
                    script.unary(method, request, |_: &QuoteDeliveryRequest| "", quote).await
                }
                "CreateShipment" => {
                    let ship = |script: &mut Script, request: CreateShipmentRequest| {
                        script.parcel = Some(request);
                        Shipment::default()
                    };
                    script.unary(method, request, |asked: &CreateShipmentRequest| &asked.order_id, ship).await
                }
                "CancelShipment" => {
                    let stop = |_: &mut Script, _: CancelShipmentRequest| Shipment::default();
                    script.unary(method, request, |asked: &CancelShipmentRequest| &asked.order_id, stop).await
                }
                other => panic!("checkout has no business with {other}"),
            })
        })
    }
}
