//! As much of a browser as a purchase needs: requests, cookies, redirects.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::page::{Form, Page};

/// How long connecting may take; within a cluster it takes a millisecond.
const CONNECT_BOUND: Duration = Duration::from_secs(5);
/// How long an answer may take: placing an order has 25 s, and half a second more for its page.
const ANSWER_BOUND: Duration = Duration::from_secs(30);
/// The largest page: the shop's own are under 100 KB.
const MAX_BYTES: usize = 1024 * 1024;
/// Redirects that are followed one after another; a form leads to one page, which may lead to the bag.
const MAX_REDIRECTS: usize = 5;

/// Where a shop's pages are: `http://`, a host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shop(String);

impl FromStr for Shop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{what}; it must be like http://shop-web:8080");
        let uri: Uri = text.parse().map_err(|error| wrong(&format!("'{text}' is no address ({error})")))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("only plain http is spoken here"));
        }
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(|| wrong("it has a user, or no host"))?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(wrong("neither a path nor a query belongs into it"));
        }
        Ok(Self(format!("http://{authority}")))
    }
}

impl fmt::Display for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somebody's browser.
pub(super) struct Browser {
    shop: Shop,
    cookies: BTreeMap<String, String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A page, and where it is.
pub(super) struct Shown {
    /// Path and query.
    pub(super) at: String,
    pub(super) page: Page,
    /// The trace of the request that led here: of the form, if one was sent, and not of what it redirected to.
    pub(super) trace: Option<String>,
}

impl Browser {
    pub(super) fn new(shop: Shop) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_BOUND));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { shop, cookies: BTreeMap::new(), client }
    }

    /// Follows a link.
    pub(super) async fn look(&mut self, at: &str) -> anyhow::Result<Shown> {
        self.go(Method::GET, at, String::new()).await
    }

    /// Presses a button of a form that is posted, with the button's name and value.
    pub(super) async fn send(&mut self, form: &Form, button: Option<(&str, &str)>) -> anyhow::Result<Shown> {
        let pairs = form.pairs().chain(button);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.go(Method::POST, &form.action, body).await
    }

    async fn go(&mut self, method: Method, at: &str, body: String) -> anyhow::Result<Shown> {
        let (mut at, mut trace) = (at.to_owned(), None);
        let mut asked = Some((method, body));
        for _ in 0..=MAX_REDIRECTS {
            let (method, body) = asked.take().unwrap_or((Method::GET, String::new()));
            ensure!(at.starts_with('/') && !at.starts_with("//"), "the shop leads to another one: {at}");
            let (status, headers, bytes) = self.fetch(method, &at, body).await?;
            trace = trace.or_else(|| traced(&headers));
            if status.is_redirection() {
                let to = headers.get(LOCATION).and_then(|to| to.to_str().ok());
                to.with_context(|| format!("{at} redirects to nowhere"))?.clone_into(&mut at);
                continue;
            }
            let page = Page::read(&String::from_utf8_lossy(&bytes));
            ensure!(status == StatusCode::OK, "{at} says {status}: {}", page.says());
            return Ok(Shown { at, page, trace });
        }
        Err(anyhow!("{at} redirects again and again"))
    }

    async fn fetch(
        &mut self,
        method: Method,
        at: &str,
        body: String,
    ) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
        let mut request = Request::builder().method(&method).uri(format!("{}{at}", self.shop));
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, cookies.join("; "));
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let client = self.client.clone();
        let answer = timeout(ANSWER_BOUND, async move {
            let answer = client.request(request).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| anyhow!(error))?;
            anyhow::Ok((head, body.to_bytes()))
        });
        let answer = answer.await.map_err(|_| anyhow!("no answer within {} s", ANSWER_BOUND.as_secs()));
        let (head, body) = answer.and_then(|answer| answer).with_context(|| format!("{method} {}{at}", self.shop))?;
        for cookie in head.headers.get_all(SET_COOKIE) {
            // Those for https alone are kept too: where people come by https, a proxy that has ended it asks as we do.
            let pair = cookie.to_str().ok().and_then(|cookie| cookie.split(';').next()?.split_once('='));
            let (name, value) = pair.context("the shop sets a cookie that is none")?;
            self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        Ok((head.status, head.headers, body))
    }
}

/// The trace that an answer names, if its request was traced: `traceparent;desc="00-<trace>-<span>-01"`.
fn traced(headers: &HeaderMap) -> Option<String> {
    let texts = headers.get_all("server-timing").into_iter().filter_map(|value| value.to_str().ok());
    let parents = texts.filter_map(|text| text.split_once("traceparent;desc=\"00-")?.1.split('-').next());
    parents.map(ToOwned::to_owned).find(|trace| trace.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_found_in_the_header_that_names_it() {
        let headers = |text: &str| HeaderMap::from_iter([("server-timing".parse().unwrap(), text.parse().unwrap())]);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let named = headers(&format!("db;dur=53, traceparent;desc=\"00-{trace}-00f067aa0ba902b7-01\""));
        assert_eq!(traced(&named).as_deref(), Some(trace));
        assert_eq!(traced(&headers("db;dur=53")), None);
        assert_eq!(traced(&HeaderMap::new()), None);
    }
}
