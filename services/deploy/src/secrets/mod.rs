//! `selvage-deploy secrets`: keys and passwords that nobody has to think up, made once in the cluster.

mod cluster;
mod wanted;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use anyhow::ensure;
use rand::distr::{Alphanumeric, SampleString as _};
use selvage_identity::IssuerKey;

use crate::cli::say;
use cluster::{Cluster, Created};
use wanted::{Make, Next, Wanted};

/// Letters and digits of a password: 32 × log₂ 62 = 190 bits, and nothing that an address would have to escape.
const PASSWORD_LETTERS: usize = 32;
/// What a Secret's name may have, less the longest ending that is put behind a prefix: 253 − 53.
const MAX_PREFIX_BYTES: usize = 200;

#[derive(clap::Args)]
pub(crate) struct Secrets {
    /// What the Secrets' names begin with: <PREFIX>-key-web and its like, <PREFIX>-trusted-keys, <PREFIX>-postgres
    #[arg(long, env = "SELVAGE_PREFIX", value_name = "PREFIX")]
    prefix: Prefix,
    /// Make passwords for the databases' roles too
    #[arg(long, env = "SELVAGE_PASSWORDS")]
    passwords: bool,
    /// The namespace; without it the one that this pod, or the kubeconfig, is in
    #[arg(long, env = "SELVAGE_NAMESPACE", value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// How long to try while the API server can't be reached, in seconds
    #[arg(long, env = "SELVAGE_WITHIN", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    within: u64,
}

/// The beginning of a Secret's name.
#[derive(Clone, Debug)]
pub(crate) struct Prefix(String);

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: u8| alphanumeric(byte) || byte == b'-' || byte == b'.';
        let ends = text.bytes().next().is_some_and(alphanumeric) && text.bytes().next_back().is_some_and(alphanumeric);
        if ends && text.len() <= MAX_PREFIX_BYTES && text.bytes().all(inner) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "a Secret's name begins with 1 to {MAX_PREFIX_BYTES} lower-case letters, digits, hyphens and dots, a letter or a digit first \
             and last"
        ))
    }
}

/// Makes what is missing, in the order in which a set that is made in part can be completed by whoever comes next.
pub(crate) async fn run(secrets: &Secrets) -> anyhow::Result<()> {
    let wanted = Wanted::new(&secrets.prefix.0, secrets.passwords);
    let cluster = Cluster::connect(secrets.namespace.as_deref(), Duration::from_secs(secrets.within)).await?;
    let mut there = BTreeMap::new();
    for name in wanted.names() {
        if let Some(values) = cluster.read(&name).await? {
            there.insert(name, values);
        }
    }
    let found = there.len();
    let make = Make { key: &IssuerKey::generate, password: &password };
    while let Next::Create { name, values } = wanted.next(&there, &make)? {
        let values = match cluster.create(&name, &values).await? {
            Created::Ours => {
                say(&format!("made the Secret {name}"))?;
                values
            }
            // Somebody else makes the same set at this moment: what they made counts.
            Created::Others(theirs) => theirs,
        };
        ensure!(there.insert(name.clone(), values).is_none(), "the Secret {name} was asked for twice");
    }
    say(&format!(
        "the namespace {} has all {} Secrets; {found} of them were there before",
        cluster.namespace(),
        there.len()
    ))
}

fn password() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LETTERS)
}
