//! A catalogue that answers as it was told, for what the real one doesn't do at a word: withdraw a SKU, price it in another
//! currency, and count how often it is asked and in whose name.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use selvage_identity::caller;
use selvage_proto::catalogue::v1::{
    BatchGetProductsRequest, BatchGetProductsResponse, Picture, ProductVariant, Variant,
};
use selvage_proto::money::v1::Money;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

#[derive(Clone, Default)]
pub(crate) struct Scripted {
    offers: Arc<Mutex<BTreeMap<String, ProductVariant>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Offers a SKU from now on.
    pub(crate) fn offer(&self, sku: &str, currency: &str, price: i64, available: i32) {
        let variant = Variant {
            sku: sku.into(),
            size: "M".into(),
            colour: "Ink".into(),
            colour_hex: "1d2a44".into(),
            price: Some(Money { currency: currency.into(), minor_units: price }),
            available,
            grams: 250,
            ..Variant::default()
        };
        let picture = Picture {
            garment: "shirt".into(),
            cut: "relaxed".into(),
            pattern: "stripe".into(),
            accent: "f2ede4".into(),
        };
        let offer = ProductVariant {
            variant: Some(variant),
            slug: "hox-shirt".into(),
            title: "Hox shirt".into(),
            picture: Some(picture),
            ..ProductVariant::default()
        };
        self.offers.lock().unwrap().insert(sku.into(), offer);
    }

    /// Offers a SKU without its price, which the catalogue's API doesn't allow.
    pub(crate) fn offer_without_price(&self, sku: &str) {
        self.offer(sku, "EUR", 0, 1);
        let mut offers = self.offers.lock().unwrap();
        offers.get_mut(sku).unwrap().variant.as_mut().unwrap().price = None;
    }

    /// No longer offers a SKU.
    pub(crate) fn withdraw(&self, sku: &str) {
        self.offers.lock().unwrap().remove(sku);
    }

    /// In whose name it was asked since the last time this was called.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl NamedService for Scripted {
    const NAME: &'static str = "selvage.catalogue.v1.Catalogue";
}

impl tower::Service<http::Request<Body>> for Scripted {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answers = self.clone();
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/selvage.catalogue.v1.Catalogue/BatchGetProducts");
            Ok(Grpc::new(ProstCodec::default()).unary(answers, request).await)
        })
    }
}

impl UnaryService<BatchGetProductsRequest> for Scripted {
    type Response = BatchGetProductsResponse;
    type Future = Ready<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<BatchGetProductsRequest>) -> Self::Future {
        self.asked.lock().unwrap().push(caller(&request).unwrap().subject().to_owned());
        let offers = self.offers.lock().unwrap();
        let (found, missing_skus): (Vec<_>, Vec<_>) =
            request.into_inner().skus.into_iter().partition(|sku| offers.contains_key(sku));
        let variants = found.iter().map(|sku| offers[sku].clone()).collect();
        ready(Ok(Response::new(BatchGetProductsResponse { variants, missing_skus })))
    }
}
