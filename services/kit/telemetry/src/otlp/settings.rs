//! Where OTLP is sent, and how: the variables `OTEL_EXPORTER_OTLP_*`. Where two say different things, the one with the
//! signal in its name wins.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::settings::Variables;

/// The transport of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// Files in PEM, each with the variable that names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The authorities that may have signed the collector's certificate; `None`: those that the system trusts.
    pub(crate) authorities: Option<(String, PathBuf)>,
    /// The certificate that the collector gets of us, and its key.
    pub(crate) own: Option<[(String, PathBuf); 2]>,
}

/// A collector, for one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Otlp {
    pub(crate) protocol: Protocol,
    /// Over HTTP, it includes the signal's path.
    pub(crate) endpoint: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) gzip: bool,
    /// The longest that one attempt may take.
    pub(crate) timeout: Duration,
    pub(crate) tls: Tls,
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// The value for `signal`, else the one for all signals, with the name of its variable before it.
    pub(crate) fn of(&self, signal: &str, what: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_{signal}_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.into_iter().find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    /// The collector for `signal`: "TRACES" or "METRICS".
    pub(crate) fn otlp(&self, signal: &str) -> anyhow::Result<Otlp> {
        let protocol = match self.of(signal, "PROTOCOL") {
            None => Protocol::Grpc,
            Some((_, value)) if value == "grpc" => Protocol::Grpc,
            Some((_, value)) if value == "http/protobuf" => Protocol::HttpProtobuf,
            Some((name, value)) => bail!("{name} is '{value}': it must be grpc or http/protobuf"),
        };
        let gzip = match self.of(signal, "COMPRESSION") {
            None => false,
            Some((_, value)) if value == "none" => false,
            Some((_, value)) if value == "gzip" && protocol == Protocol::Grpc => true,
            Some((name, value)) => bail!("{name} is '{value}': it must be none, or gzip where the protocol is grpc"),
        };
        let timeout = match self.of(signal, "TIMEOUT") {
            None => 10_000,
            Some((name, _)) => self.number(&name, 10_000)?,
        };
        Ok(Otlp {
            protocol,
            endpoint: self.endpoint(signal, protocol)?,
            headers: self.headers(signal)?,
            gzip,
            timeout: Duration::from_millis(timeout.max(1)),
            tls: self.tls(signal)?,
        })
    }

    fn endpoint(&self, signal: &str, protocol: Protocol) -> anyhow::Result<Uri> {
        let default = match protocol {
            Protocol::Grpc => "http://localhost:4317",
            Protocol::HttpProtobuf => "http://localhost:4318",
        };
        let (name, value) =
            self.of(signal, "ENDPOINT").unwrap_or_else(|| ("the default".to_owned(), default.to_owned()));
        let insecure = self.of(signal, "INSECURE").is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
        let with_scheme = match value.contains("://") {
            true => value.clone(),
            false if insecure => format!("http://{value}"),
            false => format!("https://{value}"),
        };
        // The variable for all signals has the collector's address, to which the path is added; the variable for one signal has
        // the whole address.
        let whole = match protocol {
            Protocol::HttpProtobuf if !name.contains(signal) => {
                format!("{}/v1/{}", with_scheme.trim_end_matches('/'), signal.to_lowercase())
            }
            _ => with_scheme,
        };
        let wanted = "it must be an address such as http://collector:4317";
        let uri: Uri = whole.parse().with_context(|| format!("{name} is '{value}': {wanted}"))?;
        let known = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
        ensure!(known && uri.host().is_some_and(|host| !host.is_empty()), "{name} is '{value}': {wanted}");
        ensure!(
            protocol == Protocol::Grpc || uri.scheme() == Some(&Scheme::HTTP),
            "{name} is '{value}': https is spoken with OTEL_EXPORTER_OTLP_PROTOCOL grpc only"
        );
        Ok(uri)
    }

    /// Reads "key=value,key=value", with percent-encoding in the values. Values are secrets, and stand in no error.
    fn headers(&self, signal: &str) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let Some((name, list)) = self.of(signal, "HEADERS") else { return Ok(headers) };
        for (number, pair) in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()).enumerate() {
            let wrong = || format!("{name}: its entry {} isn't key=value with a header's name and value", number + 1);
            let (key, value) = pair.split_once('=').with_context(wrong)?;
            let key: HeaderName = key.trim().parse().with_context(wrong)?;
            let value = percent_decoded(value.trim()).with_context(wrong)?;
            let mut value = HeaderValue::from_str(&value).with_context(wrong)?;
            value.set_sensitive(true);
            headers.append(key, value);
        }
        Ok(headers)
    }

    fn tls(&self, signal: &str) -> anyhow::Result<Tls> {
        let file = |what: &str| self.of(signal, what).map(|(name, path)| (name, PathBuf::from(path)));
        let own = match (file("CLIENT_CERTIFICATE"), file("CLIENT_KEY")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some([certificate, key]),
            (Some((name, _)), None) => bail!("{name} is given, but no OTEL_EXPORTER_OTLP_CLIENT_KEY for it"),
            (None, Some((name, _))) => bail!("{name} is given, but no OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE for it"),
        };
        Ok(Tls { authorities: file("CERTIFICATE"), own })
    }
}

/// `None` if it isn't that, or isn't UTF-8. The crate leaves a `%` without two digits as it is; here it is a mistake.
pub(crate) fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    let is_escape = |part: &str| part.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    text.split('%').skip(1).all(is_escape).then(|| percent_decode_str(text).decode_utf8().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> anyhow::Result<Otlp> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Variables(|name: &str| find(name).map(|(_, value)| (*value).to_owned())).otlp("TRACES")
    }

    const PROTOCOL: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");

    #[test]
    fn a_collector_is_where_the_variables_say() {
        let endpoint = |variables: &[(&str, &str)]| read(variables).unwrap().endpoint.to_string();
        let all = |value| ("OTEL_EXPORTER_OTLP_ENDPOINT", value);
        let traces = |value| ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value);
        assert_eq!(endpoint(&[]), "http://localhost:4317/");
        assert_eq!(endpoint(&[PROTOCOL]), "http://localhost:4318/v1/traces");
        assert_eq!(endpoint(&[all("http://c:1/"), PROTOCOL]), "http://c:1/v1/traces");
        assert_eq!(endpoint(&[all("http://c:1"), traces("http://d:2/mine"), PROTOCOL]), "http://d:2/mine");
        assert_eq!(endpoint(&[all("c:4317")]), "https://c:4317/");
        assert_eq!(endpoint(&[all("c:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")]), "http://c:4317/");
    }

    #[test]
    fn the_way_of_sending_is_read() {
        let otlp = read(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VsdmFnZQ==, tenant = eu"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/etc/own.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/etc/own.key"),
        ]);
        let otlp = otlp.unwrap();
        assert_eq!(otlp.headers["authorization"], "Basic c2VsdmFnZQ==");
        assert_eq!(otlp.headers["tenant"], "eu");
        assert!(otlp.gzip && otlp.timeout == Duration::from_millis(250));
        assert!(otlp.tls.authorities.is_some() && otlp.tls.own.is_some());
        assert!(!format!("{otlp:?}").contains("c2VsdmFnZQ"), "values of headers are secrets");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://c:21"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "key=%zz"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "key=%+f"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/etc/own.key"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let over_tls = read(&[PROTOCOL, ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318")]);
        assert!(over_tls.unwrap_err().to_string().contains("grpc only"));
        let secret = read(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=b, sesame")]).unwrap_err().to_string();
        assert!(secret.contains("entry 2") && !secret.contains("sesame"), "{secret}");
    }
}
