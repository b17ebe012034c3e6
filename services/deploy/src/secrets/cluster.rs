//! Secrets at the API server of Kubernetes.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::core::Status;
use kube::{Api, Client, Config, Error};
use tokio::time::{Instant, sleep, timeout};

use super::wanted::Values;

/// How long one answer may take; the API server itself gives up after a minute, and a Secret takes it milliseconds.
const ANSWER_BOUND: Duration = Duration::from_secs(10);
/// How long to wait before an API server is asked again that can't be reached: the network of a new pod takes a second or two.
const AGAIN: Duration = Duration::from_secs(1);

/// Who says in a Secret that it was made here.
const LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/part-of", "selvage"), ("app.kubernetes.io/managed-by", "selvage-deploy")];

/// The Secrets of a namespace.
pub(super) struct Cluster {
    secrets: Api<Secret>,
    namespace: String,
    until: Instant,
}

/// What came of making a Secret.
pub(super) enum Created {
    /// It was made.
    Ours,
    /// Somebody else had made it, with these values.
    Others(Values),
}

impl Cluster {
    /// Where the kubeconfig says, or this pod is. The API server is tried for as long as `within`, all calls together.
    pub(super) async fn connect(namespace: Option<&str>, within: Duration) -> anyhow::Result<Self> {
        let mut config = Config::infer().await.context(
            "there is no cluster to make Secrets in: run this in a pod whose service account's token is mounted, or with a kubeconfig",
        )?;
        // Its own repetition would go on for hours.
        config.default_retry = false;
        let namespace = namespace.map_or_else(|| config.default_namespace.clone(), ToOwned::to_owned);
        let client = Client::try_from(config).context("the cluster's configuration can't be used")?;
        Ok(Self { secrets: Api::namespaced(client, &namespace), namespace, until: Instant::now() + within })
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The values of a Secret, if it is there.
    pub(super) async fn read(&self, name: &str) -> anyhow::Result<Option<Values>> {
        match self.answer("get", name, async || self.secrets.get_opt(name).await).await? {
            Ok(secret) => secret.map(|secret| values(name, secret)).transpose(),
            Err(status) => Err(self.refused("get", name, &status)),
        }
    }

    /// Makes a Secret, unless it is there.
    pub(super) async fn create(&self, name: &str, values: &Values) -> anyhow::Result<Created> {
        let secret = secret(name, values);
        let parameters = PostParams::default();
        match self.answer("create", name, async || self.secrets.create(&parameters, &secret).await).await? {
            Ok(_) => Ok(Created::Ours),
            // Or we made it, and the answer was lost on its way.
            Err(status) if status.is_already_exists() => {
                let theirs = self.read(name).await?;
                Ok(Created::Others(theirs.with_context(|| {
                    format!("the Secret {name} was there when it was to be made, and is gone now: run this again")
                })?))
            }
            Err(status) => Err(self.refused("create", name, &status)),
        }
    }

    /// What the API server answers; while it doesn't, it is asked again until the time is over.
    async fn answer<T>(
        &self,
        verb: &str,
        name: &str,
        ask: impl AsyncFn() -> Result<T, Error>,
    ) -> anyhow::Result<Result<T, Box<Status>>> {
        loop {
            let why = match timeout(ANSWER_BOUND, ask()).await {
                Ok(Ok(answer)) => return Ok(Ok(answer)),
                Ok(Err(Error::Api(status))) if !is_passing(&status) => return Ok(Err(status)),
                Ok(Err(Error::Api(status))) => status.message,
                // The last one says it; those around it say that something has failed.
                Ok(Err(error @ (Error::Service(_) | Error::HyperError(_)))) => anyhow!(error).root_cause().to_string(),
                // It may repeat what it can't understand, which may be a secret.
                Ok(Err(Error::SerdeError(_))) => {
                    bail!("what answers to '{verb}' of the Secret {name} is no API server")
                }
                Ok(Err(error)) => {
                    return Err(anyhow!(error).context(format!("'{verb}' of the Secret {name} can't be asked for")));
                }
                Err(_) => format!("no answer within {} s", ANSWER_BOUND.as_secs()),
            };
            tracing::warn!(why, "the API server can't be reached");
            if Instant::now() + AGAIN >= self.until {
                bail!(
                    "the API server can't be reached to {verb} the Secret {name}: {why}; network policies must let this pod get there"
                );
            }
            sleep(AGAIN).await;
        }
    }

    fn refused(&self, verb: &str, name: &str, status: &Status) -> anyhow::Error {
        if !status.is_forbidden() {
            return anyhow!("the API server refuses to {verb} the Secret {name}: {}", status.message);
        }
        let right = match verb {
            "create" => "'create' of secrets".to_owned(),
            _ => format!("'{verb}' of the secret {name}"),
        };
        anyhow!(
            "the service account needs a Role in the namespace {} with the right to {right}: {}",
            self.namespace,
            status.message
        )
    }
}

/// Whether it may be otherwise a moment later.
fn is_passing(status: &Status) -> bool {
    status.code == 429 || status.code >= 500
}

fn secret(name: &str, values: &Values) -> Secret {
    let labels = LABELS.map(|(label, value)| (label.to_owned(), value.to_owned()));
    let data = values.iter().map(|(key, value)| (key.clone(), ByteString(value.clone().into_bytes())));
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels.into()), ..ObjectMeta::default() },
        data: Some(data.collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// What a Secret says.
fn values(name: &str, secret: Secret) -> anyhow::Result<Values> {
    let data = secret.data.unwrap_or_default();
    data.into_iter()
        .map(|(key, ByteString(value))| match String::from_utf8(value) {
            Ok(text) => Ok((key, text)),
            Err(_) => bail!("'{key}' of the Secret {name} isn't a text in UTF-8"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_says_what_it_was_made_of() {
        let values_of = Values::from([("cart-owner".to_owned(), "s3cret".to_owned())]);
        let made = secret("shop-postgres", &values_of);
        assert_eq!(made.metadata.name.as_deref(), Some("shop-postgres"));
        assert_eq!(values("shop-postgres", made).unwrap(), values_of);
        assert_eq!(values("empty", Secret::default()).unwrap(), Values::new());
        let binary = Secret { data: Some([("key".to_owned(), ByteString(vec![0xff]))].into()), ..Secret::default() };
        assert!(values("binary", binary).unwrap_err().to_string().contains("'key' of the Secret binary"));
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        let status = |code| Status::failure("", "").with_code(code);
        assert!([429, 500, 503].iter().all(|code| is_passing(&status(*code))));
        assert!(![400, 401, 403, 404, 409, 422].iter().any(|code| is_passing(&status(*code))));
    }
}
