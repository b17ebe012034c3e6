//! Asks a pod for its metrics.
//!
//! What it is asked is what a PoolScaler says, and what it answers comes from anybody's program: so an answer is bounded in time and
//! in size, and a redirection isn't followed.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// How large a page may be, in bytes. That of a large Spring application is some hundred kilobytes.
pub const MOST: usize = 4 * 1024 * 1024;

/// How long a pod may take to answer, the connection included.
const WITHIN: Duration = Duration::from_secs(2);

/// Where a pod's metrics are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The pod's address, and the port.
    pub address: SocketAddr,
    /// The path, from the slash on.
    pub path: String,
}

/// The text of a page.
///
/// # Errors
/// Why there is none, as a sentence with the address.
pub async fn read(page: &Page) -> Result<String, String> {
    let Page { address, path } = page;
    let answer = timeout(WITHIN, ask(page)).await;
    let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", WITHIN.as_secs())));
    answer.map_err(|why| format!("http://{address}{path}: {why}"))
}

async fn ask(page: &Page) -> Result<String, String> {
    let request = Request::get(&page.path)
        .header(HOST, page.address.to_string())
        .header(ACCEPT, "text/plain; version=0.0.4, */*; q=0.1")
        .header(USER_AGENT, "selvage-operator")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(page.address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends with this.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    match answer.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => {
            return Err(format!("{status}: redirections aren't followed, give the path itself"));
        }
        status => return Err(format!("{status}")),
    }
    let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(|error| {
        match error.downcast_ref::<LengthLimitError>() {
            Some(_) => format!("more than {} MiB", MOST / 1024 / 1024),
            None => error.to_string(),
        }
    })?;
    String::from_utf8(body.to_bytes().into()).map_err(|_| "it isn't a text".to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A pod that answers everybody with the same bytes; without any, not at all.
    pub(crate) async fn pod(answer: Vec<u8>) -> (Page, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let page = Page { address: listener.local_addr().unwrap(), path: "/metrics".to_owned() };
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    // A request of ours fits into one read.
                    if stream.read(&mut bytes).await.is_ok_and(|count| count > 0) && !answer.is_empty() {
                        let _ = stream.write_all(&answer).await;
                    } else {
                        let _ = stream.read(&mut bytes).await;
                    }
                });
            }
        });
        (page, AbortOnDropHandle::new(serving))
    }

    pub(crate) fn ok(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn a_page_is_read_as_it_is_served() {
        let (page, _pod) = pod(ok("a 1\n")).await;
        assert_eq!(read(&page).await.unwrap(), "a 1\n");
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na 1\r\n1\r\n\n\r\n0\r\n\r\n";
        let (page, _pod) = pod(chunks.as_bytes().to_vec()).await;
        assert_eq!(read(&page).await.unwrap(), "a 1\n");
        let (page, _pod) = pod(ok(&"a 1\n".repeat(MOST / 4))).await;
        assert_eq!(read(&page).await.unwrap().len(), MOST);
    }

    #[tokio::test]
    async fn what_is_no_page_is_said_with_its_address() {
        let answers = [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".as_bytes().to_vec(), "404 Not Found"),
            (
                "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".as_bytes().to_vec(),
                "redirections aren't followed",
            ),
            (ok(&"a 1\n".repeat(MOST / 4 + 1)), "more than 4 MiB"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff".to_vec(), "it isn't a text"),
            (b"SSH-2.0-x\r\n".to_vec(), ""),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na".to_vec(), "error reading a body"),
            (Vec::new(), "no answer within 2 s"),
        ];
        for (answer, words) in answers {
            let (page, _pod) = pod(answer).await;
            let said = read(&page).await.unwrap_err();
            assert!(said.starts_with(&format!("http://{}/metrics: ", page.address)) && said.contains(words), "{said}");
        }
        let nobody = Page { path: "no path".to_owned(), ..pod(ok("")).await.0 };
        assert!(read(&nobody).await.is_err());
    }
}
