//! The pods as a cluster that enforces the level "restricted" judges them, on OpenShift too, and what they may do at the API
//! server.

use std::collections::BTreeSet;

use selvage_tests::helm::{Objects, Pod, name};
use serde_json::{Value, json};

use super::{all_values, helm};

/// The kinds of volume that "restricted" permits.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// What "restricted" forbids of a pod, in the words of Kubernetes' Pod Security Standards.
fn forbidden(pod: &Pod<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("{} {}: {what}", pod.kind, pod.name));
        }
    };
    let spec = pod.spec;
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        demand(spec[key].is_null() || spec[key] == false, key);
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let kinds: Vec<_> = volume.as_object().expect("a volume").keys().filter(|key| *key != "name").collect();
        demand(kinds.iter().all(|kind| VOLUMES.contains(&kind.as_str())), "volume types");
    }
    let own = &spec["securityContext"];
    for container in pod.containers() {
        let context = &container["securityContext"];
        let either = |key: &str| if context[key].is_null() { &own[key] } else { &context[key] };
        demand(*either("runAsNonRoot") == true, "runAsNonRoot");
        demand(either("runAsUser") != &json!(0), "runAsUser");
        let profile = &either("seccompProfile")["type"];
        demand(*profile == "RuntimeDefault" || *profile == "Localhost", "seccompProfile");
        demand(context["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation");
        demand(context["privileged"].is_null() || context["privileged"] == false, "privileged");
        demand(context["capabilities"]["drop"] == json!(["ALL"]), "capabilities.drop");
        let added = context["capabilities"]["add"].as_array().cloned().unwrap_or_default();
        demand(added.iter().all(|capability| capability == "NET_BIND_SERVICE"), "capabilities.add");
        demand(context["procMount"].is_null() || context["procMount"] == "Default", "procMount");
        let ports = container["ports"].as_array().into_iter().flatten();
        demand(ports.into_iter().all(|port| port["hostPort"].is_null()), "hostPort");
    }
    found
}

#[test]
fn every_pod_is_let_in_where_restricted_is_enforced() {
    let Some(helm) = helm() else { return };
    for (about, values) in all_values() {
        for is_openshift in [false, true] {
            let objects = helm.objects(&values.clone().with(&json!({"openshift": is_openshift})));
            let pods = objects.pods();
            assert!(pods.len() >= 10, "{about}: {} pods", pods.len());
            let findings: Vec<_> = pods.iter().flat_map(forbidden).collect();
            assert!(findings.is_empty(), "{about}: {findings:#?}");
            for pod in &pods {
                for container in pod.containers() {
                    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{about}: {}", pod.name);
                }
                // OpenShift gives users and groups, and refuses those that are asked for.
                for key in ["runAsUser", "runAsGroup", "fsGroup"] {
                    assert_eq!(pod.spec["securityContext"][key].is_null(), is_openshift, "{about}: {} {key}", pod.name);
                }
            }
        }
    }
}

/// The judge itself: it finds each thing that it is to find.
#[test]
fn what_restricted_forbids_is_found() {
    let good = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
    });
    let count = |spec: &Value| {
        let metadata = json!({});
        forbidden(&Pod { kind: "Pod", name: "p", metadata: &metadata, spec }).len()
    };
    assert_eq!(count(&good), 0);
    let container = "/containers/0/securityContext";
    for (at, wrong) in [
        ("/securityContext/runAsNonRoot".to_owned(), json!(false)),
        ("/securityContext/seccompProfile".to_owned(), json!({"type": "Unconfined"})),
        (format!("{container}/allowPrivilegeEscalation"), json!(true)),
        (format!("{container}/capabilities"), json!({"drop": ["NET_RAW"]})),
        (format!("{container}/capabilities"), json!({"drop": ["ALL"], "add": ["SYS_ADMIN"]})),
    ] {
        let mut spec = good.clone();
        *spec.pointer_mut(&at).expect("it is there") = wrong;
        assert_eq!(count(&spec), 1, "{at}");
    }
    for (key, wrong) in [("hostNetwork", json!(true)), ("volumes", json!([{"name": "v", "hostPath": {"path": "/"}}]))] {
        let mut spec = good.clone();
        spec[key] = wrong;
        assert_eq!(count(&spec), 1, "{key}");
    }
}

#[test]
fn only_the_operator_and_the_job_that_makes_keys_have_a_token_and_the_job_may_do_little() {
    let Some(helm) = helm() else { return };
    for (about, values) in all_values() {
        let objects = helm.objects(&values);
        for account in objects.of_kind("ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false, "{about}: {}", name(account));
        }
        let accounts: BTreeSet<_> = objects.of_kind("ServiceAccount").map(name).collect();
        for pod in objects.pods() {
            let has_token = pod.spec["automountServiceAccountToken"] != false;
            assert_eq!(has_token, ["keys", "operator"].contains(&pod.component()), "{about}: {}", pod.name);
            let account = pod.spec["serviceAccountName"].as_str().expect("an account");
            assert!(accounts.contains(account), "{about}: {} has no account {account}", pod.name);
        }
        for kind in ["ClusterRole", "ClusterRoleBinding"] {
            let needed = usize::from(about == "operator");
            assert_eq!(objects.of_kind(kind).count(), needed, "{about}: nothing else of the whole cluster is needed");
        }
        may_do_little(&objects, about);
    }
}

/// The Role of the Job: it makes Secrets and looks at those that it makes.
fn may_do_little(objects: &Objects, about: &str) {
    let own_tests = ["shop-selvage-operator", "shop-selvage-web-decisions"];
    for role in objects.of_kind("Role").filter(|role| !own_tests.contains(&name(role))) {
        for rule in role["rules"].as_array().expect("rules") {
            assert_eq!((&rule["apiGroups"], &rule["resources"]), (&json!([""]), &json!(["secrets"])), "{about}");
            let names = rule["resourceNames"].as_array();
            match rule["verbs"].as_array().expect("verbs").iter().map(|verb| verb.as_str()).collect::<Vec<_>>()[..] {
                [Some("create")] => assert!(names.is_none(), "{about}: a name can't be demanded of what is made"),
                [Some("get")] => {
                    let names = names.expect("names");
                    assert!(names.len() >= 6, "{about}: {names:?}");
                    let ours = |name: &Value| name.as_str().is_some_and(|name| name.starts_with("shop-selvage-"));
                    assert!(names.iter().all(ours), "{about}: {names:?}");
                }
                _ => panic!("{about}: {rule}"),
            }
        }
    }
}

/// Secrets are mounted, so that a new one reaches the pods; what is in a variable instead is named here, with its reason.
#[test]
fn secrets_are_files_but_for_what_has_none() {
    let Some(helm) = helm() else { return };
    for (about, values) in all_values() {
        for pod in helm.objects(&values).pods() {
            for container in pod.containers() {
                for variable in container["env"].as_array().into_iter().flatten() {
                    if variable["valueFrom"]["secretKeyRef"].is_null() {
                        continue;
                    }
                    // The whole address, by the user's own wish, and the mail server's: neither can be a file yet.
                    let known = ["SELVAGE_DATABASE_URL", "SELVAGE_SMTP_URL"];
                    assert!(known.contains(&variable["name"].as_str().unwrap_or_default()), "{about}: {variable}");
                    let kind = if about == "playground" { "nothing" } else { about };
                    assert!(["defaults", "small", "large"].contains(&kind), "{about}: {variable}");
                }
            }
            for volume in pod.spec["volumes"].as_array().into_iter().flatten() {
                let secret = &volume["secret"];
                assert!(secret.is_null() || secret["optional"].is_null(), "{about}: a pod waits for its Secrets");
            }
        }
    }
}
