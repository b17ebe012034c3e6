//! Follows a call until the end of its answer's body, which for a stream comes long after the beginning.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use http_body::{Body, Frame, SizeHint};

use crate::calls::{self, Call};

/// Runs `work` in the span of `call`, and ends the call with the status that the answer's headers or trailers have.
///
/// # Errors
/// The error of `work`, as it is; `code` names the status that the call then ends with.
pub async fn call<B, E>(
    mut call: Call,
    work: impl Future<Output = Result<Response<B>, E>>,
    code: impl FnOnce(&E) -> &'static str,
) -> Result<Response<Observed<B>>, E> {
    let work = call.span().run(work);
    let response = work.await.inspect_err(|error| call.end(code(error)))?;
    let call = match calls::code(response.headers()) {
        Some(code) => {
            call.end(code);
            None
        }
        None => Some(call),
    };
    Ok(response.map(|body| Observed { body, call }))
}

/// A body whose trailers say how the call ended.
#[derive(Debug)]
pub struct Observed<B> {
    body: B,
    call: Option<Call>,
}

impl<B> Body for Observed<B>
where
    B: Body + Unpin,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        let Some(call) = &mut this.call else { return Pin::new(&mut this.body).poll_frame(cx) };
        let frame = {
            // The work between a stream's messages belongs to the call's span too.
            let _in = call.span().enter();
            Pin::new(&mut this.body).poll_frame(cx)
        };
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(code) = frame.trailers_ref().and_then(calls::code) {
                    call.end(code);
                    this.call = None;
                }
            }
            Poll::Ready(Some(Err(_))) => this.call = None,
            Poll::Ready(None) => {
                call.end("OK");
                this.call = None;
            }
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
