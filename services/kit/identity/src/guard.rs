use std::convert::Infallible;
use std::future::ready;
use std::task::{Context, Poll};

use selvage_status::{Error, ErrorCode};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response, header};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

use crate::{Caller, Verifier};

/// A gRPC service behind the check of every call: who calls, and whether the key that signed their token lets them call this
/// rpc. What passes has its [`Caller`] in its extensions; what doesn't never reaches the service.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    service: S,
    verifier: Verifier,
}

impl Verifier {
    /// Puts `service` behind this check.
    pub fn guard<S>(&self, service: S) -> Guarded<S> {
        Guarded { service, verifier: self.clone() }
    }

    fn admit(&self, headers: &HeaderMap, path: &str) -> Result<Caller, Error> {
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        // The scheme's case doesn't matter: RFC 9110, 11.1.
        let parts = header.and_then(|value| value.split_once(' '));
        let token = parts
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
            .map(|(_, token)| token)
            .ok_or_else(|| {
                Error::new(ErrorCode::Unauthenticated, "a token is needed: metadata 'authorization: Bearer <token>'")
            })?;
        let caller = self.verify(token)?;
        caller.require_rpc(path.trim_start_matches('/'))?;
        Ok(caller)
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

/// A service as tonic generates them.
impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future = BoxFuture<Response<Body>, Infallible>,
        >,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.verifier.admit(request.headers(), request.uri().path()) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                self.service.call(request)
            }
            Err(error) => Box::pin(ready(Ok(Status::from(error).into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use selvage_context::clock::Clock;
    use tonic::Code;

    use super::*;
    use crate::{Issuer, IssuerKey, Role, TrustedKeys};

    const READ: &str = "test.v1.Test/Read";
    const WRITE: &str = "test.v1.Test/Write";
    const WATCH: &str = "selvage.operations.v1.Operations/Watch";

    /// Says which caller reached it.
    #[derive(Clone)]
    struct Reached;

    impl Service<Request<Body>> for Reached {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<Response<Body>, Infallible>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let caller = request.extensions().get::<Caller>().expect("a caller").subject().to_owned();
            Box::pin(async move {
                let mut response = Response::new(Body::empty());
                response.headers_mut().insert("reached-by", caller.parse().unwrap());
                Ok(response)
            })
        }
    }

    /// The status with which a call ends, or whose it was.
    async fn call(verifier: &Verifier, authorization: Option<&str>, rpc: &str) -> Result<String, Code> {
        let mut request = Request::builder().uri(format!("http://test/{rpc}"));
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let response = verifier.guard(Reached).call(request.body(Body::empty()).unwrap()).await.unwrap();
        match Status::from_header_map(response.headers()) {
            Some(status) => Err(status.code()),
            None => Ok(response.headers()["reached-by"].to_str().unwrap().to_owned()),
        }
    }

    fn keys(lines: &str) -> TrustedKeys {
        TrustedKeys::parse(lines, |rpc| [READ, WRITE].contains(&rpc)).unwrap()
    }

    #[tokio::test]
    async fn a_key_that_names_its_rpcs_opens_no_other() {
        let clock = Clock::standing_at(1_800_000_000_000);
        let (narrow, wide) = (IssuerKey::generate().unwrap(), IssuerKey::generate().unwrap());
        let lines = TrustedKeys::line(&[Role::Service], &narrow, &[READ]) + &TrustedKeys::line(&Role::ALL, &wide, &[]);
        let verifier = Verifier::new(keys(&lines), clock.clone());
        let (narrow, wide) = (Issuer::new(narrow, clock.clone()), Issuer::new(wide, clock));
        let bearer = |issuer: &Issuer, role| format!("Bearer {}", issuer.issue("me", role, Duration::from_secs(60)));
        let service = bearer(&narrow, Role::Service);
        assert_eq!(call(&verifier, Some(&service), READ).await.as_deref(), Ok("me"));
        assert_eq!(call(&verifier, Some(&service), WRITE).await, Err(Code::PermissionDenied));
        let any = bearer(&wide, Role::Service);
        assert!(call(&verifier, Some(&any), READ).await.is_ok() && call(&verifier, Some(&any), WRITE).await.is_ok());
        for scheme in ["bearer", "BEARER"] {
            let told = any.replacen("Bearer", scheme, 1);
            assert!(call(&verifier, Some(&told), READ).await.is_ok(), "{scheme}");
        }
        for token in [None, Some("Bearer "), Some("Bearer x"), Some(service.strip_prefix("Bearer ").unwrap())] {
            assert_eq!(call(&verifier, token, READ).await, Err(Code::Unauthenticated), "{token:?}");
        }
        // Who looks at processes reaches them and nothing else, whatever a service forgets to ask.
        for role in [Role::Operations, Role::Faults] {
            let looks = bearer(&wide, role);
            assert!(call(&verifier, Some(&looks), WATCH).await.is_ok(), "{role}");
            assert_eq!(call(&verifier, Some(&looks), READ).await, Err(Code::PermissionDenied), "{role}");
        }
    }
}
