//! Whose a service account's token is: Kubernetes' TokenReview.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use crate::broker::{Identity, ReviewError, Reviewer};

/// Who may be meant by a token that pods show us. One that was made for somebody else is refused, so that nobody to whom a pod
/// shows a token can show it to us.
pub const AUDIENCE: &str = "selvage-operator";

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const ACCOUNT: &str = "system:serviceaccount:";

/// The pod that a token was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOwner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Its UID.
    pub uid: String,
}

/// Asks the API server whose a token is.
#[derive(Clone)]
pub struct Tokens(Api<TokenReview>);

impl Tokens {
    /// Of the cluster that `client` speaks with.
    pub fn new(client: Client) -> Self {
        Self(Api::all(client))
    }

    /// Whose it is; or, as the inner error, why it is nobody's. Its caller bounds the time.
    ///
    /// # Errors
    /// If the API server can't be asked.
    pub async fn owner(&self, token: &str) -> Result<Result<TokenOwner, String>, kube::Error> {
        let user = self.user(token).await?;
        Ok(user.and_then(|user| bound_pod(&user).ok_or_else(|| "it isn't bound to a pod".to_owned())))
    }

    /// The user whose it is: a person, or a service account. The rest as for a pod's.
    ///
    /// # Errors
    /// If the API server can't be asked.
    pub async fn user(&self, token: &str) -> Result<Result<UserInfo, String>, kube::Error> {
        let review = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) },
            status: None,
        };
        let status = self.0.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        if status.authenticated != Some(true) {
            return Ok(Err(status.error.unwrap_or_else(|| "it isn't valid".to_owned())));
        }
        // An API server that knows no audiences says so by naming none: it has then checked the token for itself.
        if !status.audiences.unwrap_or_default().iter().any(|audience| audience == AUDIENCE) {
            return Ok(Err(format!("it isn't for the audience {AUDIENCE}")));
        }
        Ok(Ok(status.user.unwrap_or_default()))
    }
}

#[tonic::async_trait]
impl Reviewer for Tokens {
    async fn review(&self, token: &str) -> Result<Identity, ReviewError> {
        match self.owner(token).await {
            Ok(Ok(TokenOwner { namespace, pod, uid })) => Ok(Identity { namespace, pod, uid }),
            Ok(Err(why)) => Err(ReviewError::Refused(why)),
            Err(error) => Err(ReviewError::Unavailable(format!("{:#}", anyhow::Error::from(error)))),
        }
    }
}

/// The pod that a user's token is bound to.
fn bound_pod(user: &UserInfo) -> Option<TokenOwner> {
    let (namespace, _) = user.username.as_deref()?.strip_prefix(ACCOUNT)?.split_once(':')?;
    let extra = |key: &str| match user.extra.as_ref()?.get(key)?.as_slice() {
        [value] => Some(value.clone()),
        _ => None,
    };
    Some(TokenOwner { namespace: namespace.to_owned(), pod: extra(POD_NAME)?, uid: extra(POD_UID)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_token_of_one_pod_names_one() {
        let user = |username: &str, extra: serde_json::Value| -> UserInfo {
            serde_json::from_value(json!({"username": username, "extra": extra})).unwrap()
        };
        let pod = json!({POD_NAME: ["cart-1"], POD_UID: ["u-1"]});
        let owner = TokenOwner { namespace: "shop".into(), pod: "cart-1".into(), uid: "u-1".into() };
        assert_eq!(bound_pod(&user("system:serviceaccount:shop:cart", pod.clone())), Some(owner));
        assert_eq!(bound_pod(&user("admin", pod)), None);
        for extra in [json!(null), json!({POD_NAME: ["cart-1"]}), json!({POD_NAME: ["a", "b"], POD_UID: ["u"]})] {
            assert_eq!(bound_pod(&user("system:serviceaccount:shop:cart", extra)), None);
        }
    }
}
