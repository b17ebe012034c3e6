//! The check that the lines of a request's head end with CR LF, as HTTP/1.1 wants it (RFC 9112, section 2.2). The parser takes
//! a bare LF for an end too. A proxy in front may not: then the two of them see different requests in the same bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a line that are kept: a length of 19 digits behind its name, and some spaces.
const KEPT: usize = 48;

/// Where in a connection its next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// In a body, of which so many bytes are to come.
    Body(u64),
    /// Behind a head whose body we don't know the end of.
    Unknown,
    /// Behind what is refused, and read by nobody.
    Refused,
}

/// Follows what a client sends, from the first byte on.
#[derive(Debug)]
struct Lines {
    place: Place,
    /// The last byte was a CR.
    is_after_cr: bool,
    /// A line of this head has come. Empty lines before it count for nothing.
    has_begun: bool,
    /// The beginning of the line that is coming, in lower case.
    line: Vec<u8>,
    /// What follows this head, by what it says of its body.
    body: Place,
}

impl Lines {
    fn new() -> Self {
        Self { place: Place::Head, is_after_cr: false, has_begun: false, line: Vec::new(), body: Place::Head }
    }

    /// Follows `bytes`; the first one at which a line ends otherwise than it must.
    fn first_wrong(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            match self.place {
                Place::Unknown | Place::Refused => return None,
                Place::Body(left) => {
                    let skipped = left.min((bytes.len() - at) as u64);
                    at += usize::try_from(skipped).unwrap_or(usize::MAX);
                    self.place = if left == skipped { Place::Head } else { Place::Body(left - skipped) };
                }
                Place::Head => {
                    let byte = bytes[at];
                    if self.is_after_cr != (byte == b'\n') {
                        return Some(at);
                    }
                    match byte {
                        b'\n' => self.end_line(),
                        b'\r' => {}
                        _ if self.line.len() < KEPT => self.line.push(byte.to_ascii_lowercase()),
                        _ => {}
                    }
                    self.is_after_cr = byte == b'\r';
                    at += 1;
                }
            }
        }
        None
    }

    fn end_line(&mut self) {
        let is_empty = self.line.is_empty();
        if is_empty && self.has_begun {
            self.place = std::mem::replace(&mut self.body, Place::Head);
        } else if self.line.starts_with(b"transfer-encoding") {
            self.body = Place::Unknown;
        } else if self.line.starts_with(b"content-length") && self.body != Place::Unknown {
            self.body = match length(&self.line) {
                Some(0) => Place::Head,
                Some(length) => Place::Body(length),
                None => Place::Unknown,
            };
        }
        self.has_begun = !is_empty;
        self.line.clear();
    }
}

/// The length that a line says. Anything but one plain number is for the parser to understand.
fn length(line: &[u8]) -> Option<u64> {
    let value = line.strip_prefix(b"content-length:")?.trim_ascii();
    let is_plain = !value.is_empty() && value.iter().all(u8::is_ascii_digit) && line.len() < KEPT;
    std::str::from_utf8(value).ok().filter(|_| is_plain)?.parse().ok()
}

/// Whether a connection has come to a request behind which no other may follow, for nobody would check its lines.
#[derive(Clone, Debug, Default)]
pub(super) struct IsLast(Arc<AtomicBool>);

impl IsLast {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that is read through this check. In place of a byte at which a line ends wrongly its reader gets a NUL, which no
/// head may have: it refuses the request in its own words.
#[derive(Debug)]
pub(super) struct Checked<C> {
    connection: C,
    lines: Lines,
    is_last: IsLast,
}

impl<C> Checked<C> {
    pub(super) fn new(connection: C) -> Self {
        Self { connection, lines: Lines::new(), is_last: IsLast::default() }
    }

    pub(super) fn is_last(&self) -> IsLast {
        self.is_last.clone()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Checked<C> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = to.filled().len();
        ready!(Pin::new(&mut this.connection).poll_read(context, to))?;
        let come = &mut to.filled_mut()[before..];
        if let Some(wrong) = this.lines.first_wrong(come) {
            come[wrong] = 0;
            this.lines.place = Place::Refused;
        }
        if this.lines.place == Place::Unknown {
            this.is_last.0.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Checked<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `bytes` are taken for when they come in parts of `size`: the first wrong byte, and where the next one is.
    fn followed(bytes: &[u8], size: usize) -> (Option<usize>, Place) {
        let mut lines = Lines::new();
        for (number, part) in bytes.chunks(size).enumerate() {
            if let Some(wrong) = lines.first_wrong(part) {
                return (Some(number * size + wrong), lines.place);
            }
        }
        (None, lines.place)
    }

    /// A request with so long a body, which has line ends of its own, and where the lines of its head end.
    fn request(body: &[u8], is_length_first: bool) -> (Vec<u8>, Vec<usize>) {
        let length = format!("Content-Length: {}", body.len());
        let others = ["Host: shop.example", "Cookie: a=b; c=d"];
        let lines =
            if is_length_first { [length.as_str(), others[0], others[1]] } else { [others[0], others[1], &length] };
        let mut bytes = b"POST /bag HTTP/1.1\r\n".to_vec();
        let mut ends = vec![bytes.len() - 1];
        for line in lines.into_iter().chain([""]) {
            bytes.extend(line.as_bytes());
            bytes.extend(b"\r\n");
            ends.push(bytes.len() - 1);
        }
        bytes.extend(body);
        (bytes, ends)
    }

    proptest! {
        #[test]
        fn requests_that_are_right_pass_in_whatever_parts_they_come_and_a_wrong_end_of_a_line_is_found(
            bodies in prop::collection::vec((prop::collection::vec(prop::sample::select(&b"a\r\n:"[..]), 0..40), any::<bool>()), 1..4),
            size in 1..60_usize,
            wrong in any::<prop::sample::Index>(),
            is_bare_lf in any::<bool>(),
        ) {
            let (mut sent, mut ends) = (Vec::new(), Vec::new());
            for (body, is_length_first) in &bodies {
                let (bytes, own) = request(body, *is_length_first);
                ends.extend(own.into_iter().map(|end| sent.len() + end));
                sent.extend(bytes);
            }
            prop_assert_eq!(followed(&sent, size), (None, Place::Head));

            let end = ends[wrong.index(ends.len())];
            if is_bare_lf {
                sent.remove(end - 1);
                prop_assert_eq!(followed(&sent, size).0, Some(end - 1));
            } else {
                // A CR that no LF follows.
                sent[end] = b'x';
                prop_assert_eq!(followed(&sent, size).0, Some(end));
            }
        }
    }

    #[test]
    fn what_says_its_length_otherwise_is_the_last_of_its_connection() {
        for header in [
            "Transfer-Encoding: chunked",
            "transfer-encoding : chunked",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Content-Length:                                                  5",
        ] {
            for second in ["", "Content-Length: 0\r\n"] {
                let sent = format!("POST / HTTP/1.1\r\n{header}\r\n{second}\r\n5\n");
                assert_eq!(followed(sent.as_bytes(), 7), (None, Place::Unknown), "{header} {second}");
            }
        }
        assert_eq!(followed(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", 3), (None, Place::Head), "empty lines before a request");
        assert_eq!(followed(b"\nGET / HTTP/1.1\r\n\r\n", 3).0, Some(0));
    }
}
