//! The reads that everybody makes, answered with bytes that were encoded before. All else is the server's behind it.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message;
use selvage_identity::caller;
use selvage_proto::catalogue::v1::catalogue_server::{Catalogue as _, CatalogueServer, SERVICE_NAME};
use selvage_proto::catalogue::v1::{GetProductRequest, ListProductsRequest};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, StdError};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};

use super::Server;
use crate::copies::{Answer, Copies};
use crate::store::Subject;

/// What is kept, and who answers what isn't.
pub(crate) struct Kept {
    pub(crate) server: Arc<Server>,
    pub(crate) products: Copies,
    pub(crate) listings: Copies,
}

impl Kept {
    async fn get_product(&self, request: Request<Bytes>) -> Answer {
        caller(&request)?;
        if let Some(answer) = self.products.get(request.get_ref()) {
            return answer;
        }
        let (metadata, extensions, key) = request.into_parts();
        let asked: GetProductRequest = decoded(&key)?;
        let slug = asked.slug.clone();
        let read = self.server.get_product(Request::from_parts(metadata, extensions, asked));
        self.products.get_or_read(&key, Subject::Product(&slug), encoded(read)).await
    }

    async fn list_products(&self, request: Request<Bytes>) -> Answer {
        caller(&request)?;
        if let Some(answer) = self.listings.get(request.get_ref()) {
            return answer;
        }
        let (metadata, extensions, key) = request.into_parts();
        let asked: ListProductsRequest = decoded(&key)?;
        let read = self.server.list_products(Request::from_parts(metadata, extensions, asked));
        self.listings.get_or_read(&key, Subject::Listing, encoded(read)).await
    }
}

/// As tonic says it.
fn decoded<M: Message + Default>(bytes: &Bytes) -> Result<M, Status> {
    M::decode(bytes.clone()).map_err(|error| Status::internal(error.to_string()))
}

async fn encoded<M: Message>(read: impl Future<Output = Result<Response<M>, Status>>) -> Answer {
    Ok(read.await?.into_inner().encode_to_vec().into())
}

/// The service: two of its methods as [`Kept`] has them.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) kept: Arc<Kept>,
    pub(crate) rest: CatalogueServer<Server>,
    pub(crate) max_request_bytes: usize,
}

#[derive(Clone, Copy)]
enum Method {
    GetProduct,
    ListProducts,
}

impl NamedService for Front {
    const NAME: &'static str = SERVICE_NAME;
}

impl<B> Service<http::Request<B>> for Front
where
    B: tonic::codegen::Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = match request.uri().path() {
            "/selvage.catalogue.v1.Catalogue/GetProduct" => Method::GetProduct,
            "/selvage.catalogue.v1.Catalogue/ListProducts" => Method::ListProducts,
            _ => return self.rest.call(request),
        };
        let unary = Unary(self.kept.clone(), method);
        let mut grpc = Grpc::new(Raw).max_decoding_message_size(self.max_request_bytes);
        Box::pin(async move { Ok(grpc.unary(unary, request).await) })
    }
}

struct Unary(Arc<Kept>, Method);

impl UnaryService<Bytes> for Unary {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (kept, method) = (self.0.clone(), self.1);
        Box::pin(async move {
            let answer = match method {
                Method::GetProduct => kept.get_product(request).await,
                Method::ListProducts => kept.list_products(request).await,
            };
            answer.map(Response::new)
        })
    }
}

/// Messages as the bytes that they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_are_called_what_they_are_called_in_the_api() {
        for method in ["GetProduct", "ListProducts"] {
            let path = format!("\"/{SERVICE_NAME}/{method}\"");
            assert!(include_str!("encoded.rs").contains(&path), "{path}");
        }
    }
}
