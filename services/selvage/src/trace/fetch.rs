//! Asks Jaeger's API for a trace, over HTTP/1.1.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{anyhow, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::ACCEPT;
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::id::TraceId;

/// How long connecting may take, as a person waits at a terminal.
const CONNECT_BOUND: Duration = Duration::from_secs(5);
/// How long the whole answer may take; a large trace takes Jaeger a second or two.
const ANSWER_BOUND: Duration = Duration::from_secs(30);
/// The largest answer: 20,000 spans of 3 KB each. A purchase has about a hundred spans.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Letters of an error's text that are printed: they fit on a few lines.
const MAX_COMPLAINT: usize = 300;
/// Part of Jaeger's answer for a trace that it doesn't have.
const UNKNOWN: &[u8] = b"trace not found";

/// Where Jaeger's API is: `http://`, its host and port, and what a proxy puts before all paths, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(String);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |what: &str| format!("{what}; it must be like http://localhost:16686");
        let uri: Uri = text.parse().map_err(|error| wrong(&format!("'{text}' is no address ({error})")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(wrong("only plain http is spoken here, for example to a kubectl port-forward"));
            }
            _ => return Err(wrong(&format!("'{text}' doesn't begin with http://"))),
        }
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong("neither a user nor a query belongs into it"));
        }
        Ok(Self(format!("http://{authority}{}", uri.path().trim_end_matches('/'))))
    }
}

impl Address {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Where people look at the trace.
    pub(super) fn page(&self, id: &TraceId) -> String {
        self.url(&format!("/trace/{id}"))
    }
}

/// Fetches a trace, in JSON.
pub(super) async fn trace(jaeger: &Address, id: &TraceId) -> anyhow::Result<Bytes> {
    let place = &jaeger.0;
    // Raw, since Jaeger otherwise moves spans that begin after their parent's end: it takes them for those of a wrong clock,
    // and messages of an outbox do begin so late.
    let asked = tokio::time::timeout(ANSWER_BOUND, ask(jaeger, &format!("/api/traces/{id}?raw=true"))).await;
    let (status, body) =
        asked.map_err(|_| anyhow!("Jaeger at {place} didn't answer within {} s", ANSWER_BOUND.as_secs()))??;
    match status {
        StatusCode::OK => Ok(body),
        // Other servers than Jaeger also answer 404.
        StatusCode::NOT_FOUND if body.windows(UNKNOWN.len()).any(|words| words == UNKNOWN) => bail!(
            "Jaeger at {place} has no trace {id}; spans reach it some seconds after they ended, it forgets old traces, and \
             what wasn't sampled never comes to it"
        ),
        _ => {
            let text = String::from_utf8_lossy(&body);
            let complaint: String = text.chars().filter(|letter| !letter.is_control()).take(MAX_COMPLAINT).collect();
            bail!("what answers at {place} says {status}: {complaint}; is it Jaeger's query service?")
        }
    }
}

async fn ask(jaeger: &Address, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let place = &jaeger.0;
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_BOUND));
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let request = Request::get(jaeger.url(path)).header(ACCEPT, "application/json").body(Empty::new())?;
    let response = client.request(request).await.map_err(|error| {
        let what = if error.is_connect() {
            format!("Jaeger can't be reached at {place}; say where it is with --jaeger URL or SELVAGE_JAEGER")
        } else {
            format!("the connection to {place} broke")
        };
        anyhow::Error::new(error).context(what)
    })?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
    let body = body.map_err(|error| anyhow!("{place} sent no whole answer of at most {MAX_BYTES} bytes: {error}"))?;
    Ok((status, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_plain_http() {
        let address: Address = "http://localhost:16686/".parse().unwrap();
        let id: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
        assert_eq!(address.page(&id), "http://localhost:16686/trace/4bf92f3577b34da6a3ce929d0e0e4736");
        let address: Address = "http://[::1]/jaeger/".parse().unwrap();
        assert_eq!(address.page(&id), "http://[::1]/jaeger/trace/4bf92f3577b34da6a3ce929d0e0e4736");
        for wrong in ["", "localhost:16686", "https://jaeger.example", "http://a@b", "/x", "http://h/?q=1"] {
            assert!(wrong.parse::<Address>().unwrap_err().contains("http"), "{wrong}");
        }
    }

    /// What comes of asking somebody who answers with these bytes and hangs up.
    async fn answered(bytes: &'static str) -> Result<Bytes, String> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: Address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
            String::from_utf8(asked[..read].to_vec()).unwrap()
        });
        let id: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
        let answer = trace(&address, &id).await.map_err(|error| format!("{error:#}"));
        let asked = server.await.unwrap();
        assert!(asked.starts_with("GET /api/traces/4bf92f3577b34da6a3ce929d0e0e4736?raw=true HTTP/1.1\r\n"), "{asked}");
        answer
    }

    #[tokio::test]
    async fn whatever_answers_is_told_in_words() {
        let answer = answered("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        assert_eq!(answer, Ok(Bytes::from_static(b"{}")));
        for (bytes, word) in [
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 15\r\n\r\ntrace not found", "has no trace 4bf92f"),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ncats", "is it Jaeger's"),
            ("HTTP/1.1 500 Oh\r\ncontent-length: 5\r\n\r\n\x1b[31m", "500 Internal Server Error: [31m; is it"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "no whole answer"),
            ("", "broke"),
            ("SSH-2.0-OpenSSH_9\r\n", "broke"),
        ] {
            let said = answered(bytes).await.unwrap_err();
            assert!(said.contains(word), "{bytes}: {said}");
        }
    }
}
