//! Sends spans to a collector.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::{Buf as _, BufMut as _, Bytes};
use http::header::CONTENT_TYPE;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, StatusCode};
use opentelemetry_http::HttpClient as _;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::settings::{Otlp, Protocol, Tls};

const EXPORT: PathAndQuery = PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
/// Pauses before the second attempt and before the third and last: 1.25 s together, which is as long as a collector takes to
/// start again. Callers bound the whole of it themselves.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// Takes requests to a collector.
pub(crate) trait Sender: Send {
    /// Sends an `ExportTraceServiceRequest`; an error says why it wasn't taken.
    fn send(&self, request: Bytes) -> impl Future<Output = Result<(), String>> + Send;
}

/// A collector that is spoken to in OTLP.
pub(crate) enum Collector {
    Grpc { client: Grpc<Channel>, headers: MetadataMap },
    Http { client: HyperClient, otlp: Box<Otlp> },
}

/// An attempt that failed, and whether another may succeed.
struct Failed {
    why: String,
    again: bool,
}

impl Collector {
    /// To be called within a tokio runtime, on which connections are made.
    ///
    /// # Errors
    /// If a file for TLS can't be read, with the variable that names it.
    pub(crate) fn new(otlp: Otlp) -> anyhow::Result<Self> {
        match otlp.protocol {
            Protocol::Grpc => {
                let mut endpoint = Endpoint::from(otlp.endpoint.clone()).timeout(otlp.timeout);
                if otlp.endpoint.scheme() == Some(&Scheme::HTTPS) {
                    endpoint = endpoint.tls_config(tls(&otlp.tls)?).context("TLS can't be spoken to the collector")?;
                }
                let mut client = Grpc::new(endpoint.connect_lazy());
                if otlp.gzip {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                Ok(Self::Grpc { client, headers: MetadataMap::from_headers(otlp.headers) })
            }
            Protocol::HttpProtobuf => {
                Ok(Self::Http { client: HyperClient::with_default_connector(otlp.timeout, None), otlp: Box::new(otlp) })
            }
        }
    }

    async fn attempt(&self, request: Bytes) -> Result<(), Failed> {
        match self {
            Self::Grpc { client, headers } => {
                let mut client = client.clone();
                client.ready().await.map_err(|error| Failed { why: error.to_string(), again: true })?;
                let request = Request::from_parts(headers.clone(), http::Extensions::new(), request);
                client.unary(request, EXPORT, Encoded).await.map(drop).map_err(|status| Failed::from(&status))
            }
            Self::Http { client, otlp } => {
                let mut post = http::Request::new(request);
                *post.method_mut() = Method::POST;
                *post.uri_mut() = otlp.endpoint.clone();
                *post.headers_mut() = otlp.headers.clone();
                post.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
                let answer =
                    client.send_bytes(post).await.map_err(|error| Failed { why: error.to_string(), again: true })?;
                let status = answer.status();
                let again = [
                    StatusCode::TOO_MANY_REQUESTS,
                    StatusCode::BAD_GATEWAY,
                    StatusCode::SERVICE_UNAVAILABLE,
                    StatusCode::GATEWAY_TIMEOUT,
                ];
                if status.is_success() {
                    return Ok(());
                }
                Err(Failed { why: format!("the collector answered {status}"), again: again.contains(&status) })
            }
        }
    }
}

impl From<&Status> for Failed {
    /// OTLP's specification says after which codes another attempt is worth it.
    fn from(status: &Status) -> Self {
        let again = [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ];
        let why = format!("the collector answered {:?}: {}", status.code(), status.message());
        Self { why, again: again.contains(&status.code()) }
    }
}

impl Sender for Collector {
    async fn send(&self, request: Bytes) -> Result<(), String> {
        for pause in PAUSES {
            match self.attempt(request.clone()).await {
                Ok(()) => return Ok(()),
                Err(failed) if !failed.again => return Err(failed.why),
                Err(_) => tokio::time::sleep(pause).await,
            }
        }
        self.attempt(request).await.map_err(|failed| failed.why)
    }
}

/// The settings of TLS for a collector whose address begins with https.
pub(crate) fn tls(tls: &Tls) -> anyhow::Result<ClientTlsConfig> {
    let read = |(name, path): &(String, std::path::PathBuf)| {
        let pem = std::fs::read(path).with_context(|| format!("{name}: the file {} can't be read", path.display()))?;
        let is_pem = pem.windows(11).any(|part| part == b"-----BEGIN ");
        ensure!(is_pem, "{name}: the file {} has no PEM in it", path.display());
        Ok(pem)
    };
    let mut config = ClientTlsConfig::new();
    config = match &tls.authorities {
        Some(file) => config.ca_certificate(Certificate::from_pem(read(file)?)),
        None => config.with_enabled_roots(),
    };
    if let Some([certificate, key]) = &tls.own {
        config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(config)
}

/// A codec for messages that are encoded already.
#[derive(Clone, Copy)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<ExportTraceServiceResponse>, Status> {
        let answer = ExportTraceServiceResponse::decode(from.copy_to_bytes(from.remaining()));
        let answer = answer.map_err(|error| Status::internal(format!("the collector's answer: {error}")))?;
        if let Some(partly) = answer.partial_success.as_ref().filter(|partly| partly.rejected_spans > 0) {
            tracing::warn!(
                spans = partly.rejected_spans,
                why = partly.error_message,
                "the collector refused some spans"
            );
        }
        Ok(Some(answer))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::settings::Variables;

    /// A collector on HTTP that gives these answers, one after the other; it returns what it was sent.
    async fn answering(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"spans") {
                    assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "a whole request");
                }
                let answer = format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                requests.push(String::from_utf8_lossy(&request).to_lowercase());
            }
            requests
        });
        (endpoint, served)
    }

    fn collector(endpoint: &str, protocol: &str) -> Collector {
        let read = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.to_owned()),
            "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.to_owned()),
            "OTEL_EXPORTER_OTLP_HEADERS" => Some("tenant=eu".to_owned()),
            _ => None,
        };
        Collector::new(Variables(read).otlp("TRACES").unwrap()).unwrap()
    }

    #[tokio::test]
    async fn over_http_a_collector_that_is_busy_is_asked_again() {
        let (endpoint, served) = answering(&["503 Service Unavailable", "200 OK"]).await;
        collector(&endpoint, "http/protobuf").send(Bytes::from_static(b"spans")).await.unwrap();
        let requests = served.await.unwrap();
        assert_eq!(requests.len(), 2);
        for line in ["post /v1/traces http/1.1", "content-type: application/x-protobuf", "tenant: eu"] {
            assert!(requests.iter().all(|request| request.contains(line)), "{line} in {requests:?}");
        }
    }

    #[tokio::test]
    async fn a_collector_that_refuses_for_good_is_asked_once() {
        let (endpoint, served) = answering(&["400 Bad Request"]).await;
        let refused = collector(&endpoint, "http/protobuf").send(Bytes::from_static(b"spans")).await;
        assert!(refused.unwrap_err().contains("400"));
        assert_eq!(served.await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_no_certificate_is_named() {
        let read = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("https://collector:4317".to_owned()),
            "OTEL_EXPORTER_OTLP_CERTIFICATE" => Some("/dev/null".to_owned()),
            _ => None,
        };
        let refused = Collector::new(Variables(read).otlp("TRACES").unwrap());
        let refused = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("OTEL_EXPORTER_OTLP_CERTIFICATE") && refused.contains("/dev/null"), "{refused}");
    }
}
