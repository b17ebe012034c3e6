//! The reads that everybody makes, answered with bytes that were encoded before. All else is the server's behind it.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use prost::Message;
use selvage_identity::{Caller, caller};
use selvage_proto::catalogue::v1::catalogue_server::{Catalogue as _, CatalogueServer, SERVICE_NAME};
use selvage_proto::catalogue::v1::{GetProductRequest, ListProductsRequest};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};

use super::Server;
use crate::answer_cache::{Answer, AnswerCache};
use crate::store::Subject;

/// What is cached, and who answers what isn't.
pub(crate) struct CachedReads {
    pub(crate) server: Arc<Server>,
    pub(crate) products: AnswerCache,
    pub(crate) listings: AnswerCache,
}

impl CachedReads {
    /// The cached answer to this request, if its caller may have it.
    fn find(&self, method: Method, message: &[u8], extensions: &http::Extensions) -> Option<Answer> {
        extensions.get::<Caller>()?;
        match method {
            Method::GetProduct => self.products.get(message),
            Method::ListProducts => self.listings.get(message),
        }
    }

    async fn get_product(&self, request: Request<Bytes>) -> Answer {
        caller(&request)?;
        let (metadata, extensions, key) = request.into_parts();
        let asked: GetProductRequest = decoded(&key)?;
        let slug = asked.slug.clone();
        let read = self.server.get_product(Request::from_parts(metadata, extensions, asked));
        self.products.get_or_read(&key, Subject::Product(&slug), encoded(read)).await
    }

    async fn list_products(&self, request: Request<Bytes>) -> Answer {
        caller(&request)?;
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
    let message = read.await?.into_inner();
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).map_err(|_| Status::internal("the answer is too long"))?);
    message.encode(&mut frame).map_err(|error| Status::internal(error.to_string()))?;
    Ok(frame.freeze())
}

/// What stands before a message on the wire: whether it is compressed, and its length in four bytes.
const PREFIX: usize = 5;

/// The message of a request that has one, not compressed.
fn message_of(frame: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = frame.split_at_checked(PREFIX)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    (prefix[0] == 0 && usize::try_from(length) == Ok(message.len())).then_some(message)
}

/// What was found, as tonic would send it, without the copy into a buffer of its own that it makes.
fn found(answer: Answer) -> http::Response<Body> {
    let frame = match answer {
        Ok(frame) => frame,
        Err(status) => return status.into_http(),
    };
    let trailers = async {
        let ok = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
        Some(Ok(HeaderMap::from_iter([ok])))
    };
    let mut response = http::Response::new(Body::new(Full::new(frame).with_trailers(trailers)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The service: two of its methods are answered by [`CachedReads`], the others by the server behind it.
#[derive(Clone)]
pub(crate) struct CachingService {
    pub(crate) cached: Arc<CachedReads>,
    pub(crate) rest: CatalogueServer<Server>,
    pub(crate) max_request_bytes: usize,
}

#[derive(Clone, Copy)]
enum Method {
    GetProduct,
    ListProducts,
}

impl NamedService for CachingService {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<http::Request<Body>> for CachingService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = match request.uri().path() {
            "/selvage.catalogue.v1.Catalogue/GetProduct" => Method::GetProduct,
            "/selvage.catalogue.v1.Catalogue/ListProducts" => Method::ListProducts,
            _ => return self.rest.call(request),
        };
        let (cached, max_bytes) = (self.cached.clone(), self.max_request_bytes);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let frame = match Limited::new(body, PREFIX + max_bytes).collect().await {
                Ok(body) => body.to_bytes(),
                Err(error) if error.is::<LengthLimitError>() => {
                    let why = format!("the request is longer than {max_bytes} bytes");
                    return Ok(Status::out_of_range(why).into_http());
                }
                Err(error) => return Ok(Status::from_error(error).into_http()),
            };
            if let Some(answer) = message_of(&frame).and_then(|message| cached.find(method, message, &parts.extensions))
            {
                return Ok(found(answer));
            }
            let request = http::Request::from_parts(parts, Full::new(frame));
            let mut grpc = Grpc::new(Raw).max_decoding_message_size(max_bytes);
            Ok(grpc.unary(Unary(cached, method), request).await)
        })
    }
}

struct Unary(Arc<CachedReads>, Method);

impl UnaryService<Bytes> for Unary {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (cached, method) = (self.0.clone(), self.1);
        Box::pin(async move {
            let answer = match method {
                Method::GetProduct => cached.get_product(request).await,
                Method::ListProducts => cached.list_products(request).await,
            };
            answer.map(|frame| Response::new(frame.slice(PREFIX..)))
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

    #[tokio::test]
    async fn an_answer_is_framed_as_a_request_is_read() {
        let read = async { Ok(Response::new(GetProductRequest { slug: "shirt".into() })) };
        let frame = encoded(read).await.unwrap();
        let message = message_of(&frame).unwrap();
        assert_eq!(GetProductRequest::decode(message).unwrap().slug, "shirt");
        assert_eq!(message_of(&[0, 0, 0, 0, 0]), Some(&[][..]));
        let (short, compressed) = (&frame[..frame.len() - 1], [1, 0, 0, 0, 0]);
        for other in [&[][..], &[0, 0, 0, 0], short, &compressed, &[0, 0, 0, 0, 0, 0]] {
            assert_eq!(message_of(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_methods_are_called_what_they_are_called_in_the_api() {
        for method in ["GetProduct", "ListProducts"] {
            let path = format!("\"/{SERVICE_NAME}/{method}\"");
            assert!(include_str!("encoded.rs").contains(&path), "{path}");
        }
    }
}
