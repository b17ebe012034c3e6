//! The attributes that name this process in traces and metrics.

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;

use crate::otlp::settings::percent_decoded;
use crate::settings::Variables;

/// The attribute whose value is also in `OTEL_SERVICE_NAME`, which wins.
const SERVICE_NAME: &str = "service.name";

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// What `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say: key and value, the later ones winning. The first has the
    /// form "key=value,key=value", with percent-encoding in the values.
    pub(crate) fn resource(&self) -> anyhow::Result<Vec<(String, String)>> {
        const LIST: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let mut attributes = Vec::new();
        let list = self.get(LIST).unwrap_or_default();
        for pair in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let wrong = || {
                format!("{LIST}: '{pair}' isn't key=value, with '%' and two hexadecimal digits for what isn't a letter")
            };
            let (key, value) = pair.split_once('=').with_context(wrong)?;
            let value = percent_decoded(value.trim()).with_context(wrong)?;
            let key = Some(key.trim()).filter(|key| !key.is_empty()).with_context(wrong)?;
            attributes.push((key.to_owned(), value.into_owned()));
        }
        attributes.extend(self.get("OTEL_SERVICE_NAME").map(|name| (SERVICE_NAME.to_owned(), name)));
        Ok(attributes)
    }
}

/// The attributes of the process `service`; what the user has `said` wins.
pub(crate) fn of(service: &'static str, said: &[(String, String)]) -> Resource {
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.namespace", "selvage"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(said.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())))
        .build()
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> anyhow::Result<Vec<(String, String)>> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Variables(|name: &str| find(name).map(|(_, value)| (*value).to_owned())).resource()
    }

    #[test]
    fn attributes_are_decoded_and_win_over_our_own() {
        let said = read(&[
            ("OTEL_RESOURCE_ATTRIBUTES", "team=Kleid%20%26%20Hemd%2C%20Leipzig, service.name=lost,k8s.pod.name=a-1,"),
            ("OTEL_SERVICE_NAME", "mine"),
        ]);
        let resource = of("selvage-lamp", &said.unwrap());
        let value = |key: &'static str| resource.get(&Key::from_static_str(key)).map(|value| value.to_string());
        assert_eq!(value("team").as_deref(), Some("Kleid & Hemd, Leipzig"));
        assert_eq!((value("service.name").as_deref(), value("k8s.pod.name").as_deref()), (Some("mine"), Some("a-1")));
        let ours = of("selvage-lamp", &read(&[]).unwrap());
        assert_eq!(ours.get(&Key::from_static_str("service.name")).unwrap().as_str(), "selvage-lamp");
        assert!(ours.get(&Key::from_static_str("telemetry.sdk.version")).is_some());
        for wrong in ["team", "=x", "team=%zz", "team=%f"] {
            let error = format!("{:#}", read(&[("OTEL_RESOURCE_ATTRIBUTES", wrong)]).unwrap_err());
            assert!(error.contains("OTEL_RESOURCE_ATTRIBUTES") && error.contains(wrong), "{error}");
        }
    }
}
