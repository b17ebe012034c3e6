//! Tokens of service accounts, at a real API server.

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, PostParams};
use selvage_operator::controllers::tokens::{AUDIENCE, TokenOwner, Tokens};
use serde_json::json;

use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_names_the_pod_that_it_was_made_for_and_nobody_elses_does() {
    let Some(cluster) = Cluster::bare().await else { return };
    let accounts: Api<ServiceAccount> = Api::default_namespaced(cluster.client.clone());
    let pods: Api<Pod> = Api::default_namespaced(cluster.client.clone());
    let account = serde_json::from_value(json!({"metadata": {"name": "cart"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "cart-1"},
        "spec": {"serviceAccountName": "cart", "containers": [{"name": "it", "image": "it"}]},
    }));
    let pod = pods.create(&PostParams::default(), &pod.unwrap()).await.unwrap();
    let made = |audience: &str, bound: &[&str]| {
        let token = cluster.server.said(&[&["create", "token", "cart", "--audience", audience], bound].concat());
        token.trim().to_owned()
    };
    let bound = ["--bound-object-kind=Pod", "--bound-object-name=cart-1"];
    let token = made(AUDIENCE, &bound);
    let tokens = Tokens::new(cluster.client.clone());
    let owner = TokenOwner { namespace: "default".into(), pod: "cart-1".into(), uid: pod.uid().unwrap() };
    assert_eq!(tokens.owner(&token).await.unwrap(), Ok(owner));

    assert_eq!(tokens.owner(&made(AUDIENCE, &[])).await.unwrap(), Err("it isn't bound to a pod".to_owned()));
    for (about, wrong) in [
        ("another audience", made("https://kubernetes", &bound)),
        ("one letter is another", token.replacen('e', "f", 1)),
        ("none", "none".to_owned()),
        ("an administrator's", "administrator".to_owned()),
    ] {
        assert!(tokens.owner(&wrong).await.unwrap().is_err(), "{about}");
    }
    pods.delete("cart-1", &DeleteParams::default().grace_period(0)).await.unwrap();
    let gone = async || tokens.owner(&token).await.is_ok_and(|owner| owner.is_err());
    // The API server remembers a token that was good for some seconds.
    selvage_testkit::eventually(std::time::Duration::from_secs(60), "the pod is gone, and its token with it", gone)
        .await;
}
