//! The check that a request names one host, as HTTP/1.1 wants it (RFC 9112, section 3.2). Of two names a proxy may believe
//! the first and we the second.

use std::error::Error;

use futures::TryFutureExt as _;
use futures::future::{Either, MapOk, Ready, ready};
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::Empty;
use hyper::body::Body;
use hyper::service::Service;

/// A service behind this check: what doesn't pass is answered with 400, and its connection closed.
#[derive(Clone, Debug)]
pub(crate) struct OneHost<S>(pub(crate) S);

type Answer<B> = Response<http_body_util::Either<B, Empty<<B as Body>::Data>>>;

impl<S, I, B> Service<Request<I>> for OneHost<S>
where
    S: Service<Request<I>, Response = Response<B>>,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    type Response = Answer<B>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Answer<B>, S::Error>>, MapOk<S::Future, fn(Response<B>) -> Answer<B>>>;

    fn call(&self, request: Request<I>) -> Self::Future {
        let hosts = request.headers().get_all(HOST).iter().count();
        if hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11) {
            let answer: fn(Response<B>) -> Answer<B> = |answer| answer.map(http_body_util::Either::Left);
            return Either::Right(self.0.call(request).map_ok(answer));
        }
        let mut refusal = Response::new(http_body_util::Either::Right(Empty::new()));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Either::Left(ready(Ok(refusal)))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::body::Bytes;
    use hyper::service::service_fn;

    use super::*;

    #[tokio::test]
    async fn a_request_names_its_host_once() {
        let service = OneHost(service_fn(async |_: Request<Empty<Bytes>>| {
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }));
        for (hosts, version, status) in [
            (&["shop.example"][..], Version::HTTP_11, 200),
            (&[], Version::HTTP_11, 400),
            (&[], Version::HTTP_10, 200),
            (&["shop.example", "other.example"], Version::HTTP_11, 400),
            (&["shop.example", "shop.example"], Version::HTTP_10, 400),
        ] {
            let mut request = Request::builder().version(version);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let answer = service.call(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
            let closes = answer.headers().contains_key(CONNECTION);
            assert_eq!((answer.status().as_u16(), closes), (status, status == 400), "{hosts:?} {version:?}");
        }
    }
}
