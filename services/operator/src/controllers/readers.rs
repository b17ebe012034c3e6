//! Who may read what was decided: whoever may list PoolScalers, by Kubernetes' SubjectAccessReview.

use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use super::tokens::Tokens;
use crate::decisions::{Access, AccessError};

/// Asks the API server whose a token is, and what its owner may.
#[derive(Clone)]
pub struct Readers {
    tokens: Tokens,
    reviews: Api<SubjectAccessReview>,
}

impl Readers {
    /// Of the cluster that `client` speaks with.
    pub fn new(client: Client) -> Self {
        Self { tokens: Tokens::new(client.clone()), reviews: Api::all(client) }
    }

    /// Whether a user may list PoolScalers in a namespace, or in all if it is empty. Its caller bounds the time.
    ///
    /// # Errors
    /// If the API server can't be asked.
    pub async fn may_list(&self, user: &UserInfo, namespace: &str) -> Result<bool, kube::Error> {
        let review = SubjectAccessReview {
            metadata: ObjectMeta::default(),
            spec: SubjectAccessReviewSpec {
                extra: user.extra.clone(),
                groups: user.groups.clone(),
                non_resource_attributes: None,
                resource_attributes: Some(ResourceAttributes {
                    group: Some("selvage.dev".to_owned()),
                    namespace: Some(namespace.to_owned()),
                    resource: Some("poolscalers".to_owned()),
                    verb: Some("list".to_owned()),
                    ..ResourceAttributes::default()
                }),
                uid: user.uid.clone(),
                user: user.username.clone(),
            },
            status: None,
        };
        let status = self.reviews.create(&PostParams::default(), &review).await?.status;
        Ok(status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

#[tonic::async_trait]
impl Access for Readers {
    async fn may_read(&self, token: &str, namespace: &str) -> Result<(), AccessError> {
        let unavailable = |error: kube::Error| AccessError::Unavailable(format!("{:#}", anyhow::Error::from(error)));
        let user = self.tokens.user(token).await.map_err(unavailable)?.map_err(AccessError::Stranger)?;
        if self.may_list(&user, namespace).await.map_err(unavailable)? {
            Ok(())
        } else {
            Err(AccessError::Forbidden(user.username.unwrap_or_default()))
        }
    }
}
