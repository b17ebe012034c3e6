//! The broker that shares a database server's connections out, on the command line of a service.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::Args;
use selvage_broker::{Broker, Pod, Settings};
use selvage_rpc::Target;

use crate::Life;

/// Where a service's connections are granted.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BrokerArgs {
    /// The pool broker that shares the connections of the database's server out, for example selvage-operator:50060 (PostgreSQL).
    /// No pool opens anything before its first grant; how many it has is granted then, from its floor to its ceiling
    #[arg(long, env = "SELVAGE_BROKER", value_name = "HOST:PORT")]
    broker: Option<Target>,
    /// A file with the token of the pod's service account, for the audience selvage-operator. It is read again whenever it is needed
    #[arg(long, env = "SELVAGE_BROKER_TOKEN_FILE", value_name = "FILE")]
    broker_token_file: Option<PathBuf>,
    /// The ConnectionBudget of the database's server: its name in the pod's namespace, or namespace/name
    #[arg(long, env = "SELVAGE_BROKER_BUDGET", value_name = "NAME")]
    broker_budget: Option<String>,
    /// The pod's namespace, by which the broker knows it
    #[arg(long, env = "SELVAGE_POD_NAMESPACE", value_name = "NAME")]
    pod_namespace: Option<String>,
    /// The pod's name, by which the broker knows it
    #[arg(long, env = "SELVAGE_POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,
    /// The pod's UID, by which the broker knows it
    #[arg(long, env = "SELVAGE_POD_UID", value_name = "NAME")]
    pod_uid: Option<String>,
}

impl BrokerArgs {
    /// What is known of the broker, if there is one; `is_shared` says whether the database is one whose connections can be
    /// shared out.
    ///
    /// # Errors
    /// If something is missing, or the database is in this process.
    pub(crate) fn settings(&self, is_shared: bool) -> anyhow::Result<Option<Settings>> {
        let Some(broker) = &self.broker else { return Ok(None) };
        ensure!(
            is_shared,
            "--broker is for PostgreSQL, whose connections are shared out among processes: leave it out with SQLite"
        );
        let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let texts = [&self.broker_budget, &self.pod_namespace, &self.pod_name, &self.pod_uid].map(text);
        let (Some(token_file), [Some(budget), Some(namespace), Some(name), Some(uid)]) =
            (self.broker_token_file.clone(), texts)
        else {
            bail!(
                "--broker needs --broker-token-file, --broker-budget, --pod-namespace, --pod-name and --pod-uid beside it"
            );
        };
        Ok(Some(Settings::new(broker.clone(), token_file, budget, Pod { namespace, name, uid })))
    }
}

/// Starts the broker's client. It goes on while the process ends, for pools hold connections until they are closed, and ends when
/// nobody has the broker any more.
pub(crate) fn start(settings: Settings, life: &Life) -> Broker {
    let (broker, client) = Broker::new(settings);
    let (client, stopping) = (tokio::spawn(client), life.stopping());
    life.run("broker", async move {
        tokio::select! {
            biased;
            () = stopping => Ok(()),
            ended = client => {
                ended?;
                bail!("the broker's client ended before the process")
            }
        }
    });
    broker
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> BrokerArgs {
        BrokerArgs {
            broker: Some("operator:50060".parse().unwrap()),
            broker_token_file: Some("token".into()),
            broker_budget: Some("main".into()),
            pod_namespace: Some("sky".into()),
            pod_name: Some("stars-1".into()),
            pod_uid: Some("5f6c".into()),
        }
    }

    #[test]
    fn without_a_broker_the_rest_says_nothing() {
        let none = BrokerArgs { broker: None, ..complete() };
        assert!(none.settings(true).unwrap().is_none() && none.settings(false).unwrap().is_none());
    }

    #[test]
    fn with_a_broker_all_of_it_must_be_said() {
        assert_eq!(complete().settings(true).unwrap().unwrap().pod.uid, "5f6c");
        for part in [
            BrokerArgs { broker_token_file: None, ..complete() },
            BrokerArgs { broker_budget: Some(String::new()), ..complete() },
            BrokerArgs { pod_uid: None, ..complete() },
        ] {
            let why = part.settings(true).unwrap_err().to_string();
            assert!(why.contains("--broker-token-file") && why.contains("--pod-uid"), "{why}");
        }
    }

    #[test]
    fn a_database_in_this_process_has_no_broker() {
        let why = complete().settings(false).unwrap_err().to_string();
        assert!(why.contains("PostgreSQL") && why.contains("SQLite"), "{why}");
    }
}
