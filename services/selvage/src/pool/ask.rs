//! Asks the operator.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use selvage_proto::pool::v1::decisions_client::DecisionsClient;
use selvage_proto::pool::v1::{Budget, ListBudgetsRequest, WatchBudgetsRequest, WatchBudgetsResponse};
use selvage_rpc::with_token;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

/// How long an answer may take: the operator itself gives up asking Kubernetes and its leader within 7 s.
const ANSWER: Duration = Duration::from_secs(10);
/// Pages that are read at the most, of ten budgets each.
const MAX_PAGES: usize = 100;
/// A service account's token has some 1,500 letters.
const MAX_TOKEN: usize = 16 * 1024;
/// How a token is made.
const REMEDY: &str = "kubectl create token NAME --audience selvage-operator > FILE makes one";

/// Where the operator is, and as whom it is asked.
#[derive(clap::Args)]
pub(super) struct Operator {
    /// Where the operator's rpcs are; the default is what 'kubectl port-forward service/…-operator 50060' gives
    #[arg(long, env = "SELVAGE_OPERATOR", value_name = "URL", default_value = "http://localhost:50060")]
    operator: Address,
    /// A file with a Kubernetes token for the audience selvage-operator, of whoever may list poolscalers.selvage.dev:
    /// kubectl create token NAME --audience selvage-operator > FILE
    #[arg(long, env = "SELVAGE_OPERATOR_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The namespace to look at; all of them if none is named, which needs the right to list in all
    #[arg(
        long,
        short = 'n',
        env = "SELVAGE_OPERATOR_NAMESPACE",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    namespace: String,
}

/// Where the operator is: `http://HOST:PORT`, or HOST:PORT alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(String);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |what: &str| Err(format!("{what}; it must be like http://localhost:50060"));
        if text.starts_with("https://") {
            return wrong("only plain http is spoken here, for example to a kubectl port-forward");
        }
        let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let port =
            rest.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok())?);
        if port.is_none_or(|port| port == 0)
            || rest.contains(['/', '@', '?', '#'])
            || rest.contains(char::is_whitespace)
        {
            return wrong(&format!("'{text}' is no address with a port"));
        }
        Ok(Self(format!("http://{rest}")))
    }
}

impl Operator {
    fn token(&self) -> anyhow::Result<String> {
        let file = self
            .token_file
            .as_ref()
            .with_context(|| format!("a token is needed: {REMEDY}, and --token-file FILE says where it is"))?;
        let text =
            std::fs::read_to_string(file).with_context(|| format!("--token-file {} can't be read", file.display()))?;
        let token = text.trim();
        let is_token =
            !token.is_empty() && token.len() <= MAX_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(is_token, "--token-file {} has no token in it: {REMEDY}", file.display());
        Ok(token.to_owned())
    }

    async fn client(&self) -> anyhow::Result<DecisionsClient<Channel>> {
        let place = &self.operator.0;
        let endpoint = selvage_rpc::endpoint(place.clone()).map_err(|_| anyhow!("--operator {place} is no address"))?;
        let channel = endpoint.connect().await.with_context(|| {
            format!(
                "the operator can't be reached at {place}: kubectl port-forward service/NAME-operator 50060 makes a way to it, or \
                 say where it is with --operator"
            )
        })?;
        Ok(DecisionsClient::new(channel))
    }

    /// All budgets that whoever asks may see.
    pub(super) async fn budgets(&self) -> anyhow::Result<Vec<Budget>> {
        let token = self.token()?;
        let mut client = self.client().await?;
        let (mut budgets, mut page_token) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let request = ListBudgetsRequest { namespace: self.namespace.clone(), page_size: 0, page_token };
            let asked = timeout(ANSWER, client.list_budgets(with_token(&token, request))).await;
            let page = asked.map_err(|_| self.late())?.map_err(|status| self.in_words(&status))?.into_inner();
            budgets.extend(page.budgets);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(budgets)
    }

    /// The same now and again.
    pub(super) async fn watch(&self) -> anyhow::Result<Streaming<WatchBudgetsResponse>> {
        let token = self.token()?;
        let request = WatchBudgetsRequest { namespace: self.namespace.clone() };
        let mut client = self.client().await?;
        let asked = timeout(ANSWER, client.watch_budgets(with_token(&token, request))).await;
        Ok(asked.map_err(|_| self.late())?.map_err(|status| self.in_words(&status))?.into_inner())
    }

    fn late(&self) -> anyhow::Error {
        anyhow!("{} didn't answer within {} s; is it the operator's port 50060?", self.operator.0, ANSWER.as_secs())
    }

    /// What the operator refuses, with the remedy.
    pub(super) fn in_words(&self, status: &Status) -> anyhow::Error {
        let said = crate::terminal::clean(status.message(), 300);
        let remedy = match status.code() {
            Code::Unauthenticated => format!("; {REMEDY}, and it is valid for an hour"),
            Code::PermissionDenied if self.namespace.is_empty() => {
                "; --namespace NAME asks for one namespace alone".to_owned()
            }
            Code::PermissionDenied => {
                "; kubectl create rolebinding gives a role with the verb list for poolscalers.selvage.dev".to_owned()
            }
            Code::Unimplemented => "; what answers there isn't this version's operator".to_owned(),
            Code::Unavailable => "; --operator says where it is".to_owned(),
            _ => String::new(),
        };
        anyhow::Error::new(Refused { code: status.code() })
            .context(format!("the operator at {} says: {said}{remedy}", self.operator.0))
    }
}

/// That the operator refused, and how.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: Code,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "gRPC status {:?}", self.code)
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_plain_http_with_a_port() {
        for right in ["http://localhost:50060", "localhost:50060", "http://localhost:50060/"] {
            assert_eq!(right.parse(), Ok(Address("http://localhost:50060".to_owned())), "{right}");
        }
        for wrong in ["", "localhost", "https://a:1", "http://:1", "a:0", "a:b", "http://a:1/x", "u@a:1"] {
            assert!(wrong.parse::<Address>().unwrap_err().contains("http://localhost:50060"), "{wrong}");
        }
    }
}
