//! The pods of the services, and what stands around them: probes, roll-outs, disruptions, spreading, labels, images.

use std::collections::BTreeSet;

use selvage_tests::helm::{Objects, Values, name, variables};
use serde_json::{Value, json};

use super::{all_values, helm};

const SERVICES: [&str; 5] = ["catalogue", "cart", "checkout", "delivery", "web"];

/// The labels that choose a component's pods. A Deployment's selector can't be changed: these stay as they are in every version.
fn selected(component: &str) -> Value {
    json!({
        "app.kubernetes.io/name": "selvage",
        "app.kubernetes.io/instance": "shop",
        "app.kubernetes.io/component": component,
    })
}

fn container<'a>(objects: &'a Objects, service: &str) -> &'a Value {
    let deployment = objects.one("Deployment", &format!("shop-selvage-{service}"));
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn selectors_are_those_of_every_version() {
    let Some(helm) = helm() else { return };
    for (about, values) in all_values() {
        let labelled =
            values.with(&json!({"commonLabels": {"team": "shop"}, "common": {"podLabels": {"tier": "one"}}}));
        let objects = helm.objects(&labelled);
        for service in SERVICES {
            let named = format!("shop-selvage-{service}");
            let deployment = objects.one("Deployment", &named);
            assert_eq!(deployment["spec"]["selector"]["matchLabels"], selected(service), "{about}");
            assert_eq!(objects.one("Service", &named)["spec"]["selector"], selected(service), "{about}");
            let disruption = objects.one("PodDisruptionBudget", &named);
            assert_eq!(disruption["spec"]["selector"]["matchLabels"], selected(service), "{about}");
            let labels = &deployment["spec"]["template"]["metadata"]["labels"];
            assert_eq!((&labels["team"], &labels["tier"]), (&json!("shop"), &json!("one")), "{about}");
        }
        for object in objects.all().iter().filter(|object| object["metadata"]["annotations"]["helm.sh/hook"].is_null())
        {
            assert_eq!(object["metadata"]["labels"]["team"], "shop", "{about}: {}", name(object));
            // What may be done in the whole cluster is in no namespace.
            let is_global = object["kind"].as_str().is_some_and(|kind| kind.starts_with("ClusterRole"));
            assert!(is_global || object["metadata"]["namespace"] == "selvage", "{about}: {}", name(object));
            assert!(name(object).len() <= 63, "{}", name(object));
        }
    }
}

#[test]
fn names_are_short_enough_whatever_the_release_is_called() {
    let Some(helm) = helm() else { return };
    for long in ["x".repeat(53), "a-".repeat(20) + "b"] {
        let objects = helm.objects(&Values::of("ci/playground-values.yaml").with(&json!({"fullnameOverride": long})));
        let mut names = BTreeSet::new();
        for object in objects.all() {
            assert!(name(object).len() <= 63 && !name(object).contains("--"), "{}", name(object));
            assert!(names.insert((object["kind"].to_string(), name(object))), "{} stands twice", name(object));
        }
    }
}

#[test]
fn a_single_replica_can_be_drained_and_replicas_spread() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&Values::none());
    for service in SERVICES {
        let disruption = &objects.one("PodDisruptionBudget", &format!("shop-selvage-{service}"))["spec"];
        assert_eq!(disruption["maxUnavailable"], 1, "{service}");
        assert!(disruption["minAvailable"].is_null(), "with one replica it would forbid every drain");
        assert_eq!(disruption["unhealthyPodEvictionPolicy"], "AlwaysAllow");
        let spec = &objects.one("Deployment", &format!("shop-selvage-{service}"))["spec"]["template"]["spec"];
        let spread = spec["topologySpreadConstraints"].as_array().expect("constraints");
        // A second soft constraint would cost the first its weight on nodes that have no zone.
        assert_eq!(spread.len(), 1, "{service}");
        let hosts = json!({
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            "nodeTaintsPolicy": "Honor", "labelSelector": {"matchLabels": selected(service)},
            // A roll-out doesn't count the old ones.
            "matchLabelKeys": ["pod-template-hash"],
        });
        assert_eq!(spread[0], hosts, "{service}");
        let zones = json!([{"weight": 100, "podAffinityTerm": {
            "topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchLabels": selected(service)},
        }}]);
        let preferred = &spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(*preferred, zones, "{service}");
        let tolerated: Vec<_> = spec["tolerations"].as_array().into_iter().flatten().collect();
        assert!(tolerated.iter().all(|one| one["tolerationSeconds"] == 10) && tolerated.len() == 2, "{service}");
    }
}

#[test]
fn replicas_that_must_spread_over_zones_do_so_by_a_constraint_and_ones_own_replace_both() {
    let Some(helm) = helm() else { return };
    let of = |common: Value| {
        let objects = helm.objects(&Values::none().with(&json!({"common": common})));
        objects.one("Deployment", "shop-selvage-cart")["spec"]["template"]["spec"].clone()
    };
    let keys = |spec: &Value| {
        let constraints = spec["topologySpreadConstraints"].as_array().cloned().unwrap_or_default();
        constraints.iter().map(|one| one["topologyKey"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let must = of(json!({"topologySpread": {"zones": "DoNotSchedule"}}));
    assert_eq!(keys(&must), ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]);
    assert!(must["affinity"].is_null());
    let own = of(json!({"topologySpreadConstraints": [{"topologyKey": "rack"}], "affinity": {"nodeAffinity": {}}}));
    assert_eq!((keys(&own), &own["affinity"]), (vec!["rack".to_owned()], &json!({"nodeAffinity": {}})));
    let beside = of(json!({"affinity": {"nodeAffinity": {}}}));
    assert!(beside["affinity"]["nodeAffinity"].is_object() && beside["affinity"]["podAntiAffinity"].is_object());
}

#[test]
fn probes_ask_whether_it_lives_apart_from_whether_it_is_ready() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&Values::none());
    for (service, grpc) in [
        ("catalogue", "selvage.catalogue.v1.Catalogue"),
        ("cart", "selvage.cart.v1.Cart"),
        ("checkout", "selvage.checkout.v1.Checkout"),
        ("delivery", "selvage.delivery.v1.Delivery"),
    ] {
        let container = container(&objects, service);
        let asked = |probe: &str| container[probe]["grpc"]["service"].clone();
        // Not whether it is ready: it may wait for its database for as long as that takes.
        assert_eq!((asked("startupProbe"), asked("livenessProbe")), (json!("live"), json!("live")));
        assert_eq!(asked("readinessProbe"), grpc);
        assert_eq!(container["readinessProbe"]["grpc"]["port"], container["ports"][0]["containerPort"]);
    }
    let web = container(&objects, "web");
    let paths = ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| web[probe]["httpGet"]["path"].clone());
    assert_eq!(paths, [json!("/livez"), json!("/livez"), json!("/readyz")]);
}

#[test]
fn clients_see_every_pod_and_browsers_one_address() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&Values::none());
    for service in SERVICES {
        let spec = &objects.one("Service", &format!("shop-selvage-{service}"))["spec"];
        let is_headless = spec["clusterIP"] == "None";
        assert_eq!(is_headless, service != "web", "{service}");
        // A pod that isn't ready isn't called.
        assert!(spec["publishNotReadyAddresses"].is_null());
    }
}

/// The number of pods is the chart's, or it isn't in the manifest at all.
#[test]
fn an_autoscalers_replicas_are_never_rendered() {
    let Some(helm) = helm() else { return };
    let objects = helm.objects(&Values::none());
    for service in SERVICES {
        assert_eq!(objects.one("Deployment", &format!("shop-selvage-{service}"))["spec"]["replicas"], 2);
        let owned = json!({service: {"scaledBy": "autoscaler", "replicasHandedOver": true, "replicas": 2}});
        let objects = helm.objects(&Values::none().with(&owned));
        let spec = objects.one("Deployment", &format!("shop-selvage-{service}"))["spec"].as_object().expect("a spec");
        assert!(!spec.contains_key("replicas"), "{service}");
        let passing = json!({service: {"scaledBy": "handover", "replicasHandedOver": true}});
        let objects = helm.objects(&Values::none().with(&passing));
        assert!(objects.find("Deployment", &format!("shop-selvage-{service}")).is_none(), "Helm lets go of {service}");
        assert_eq!(objects.of_kind("Deployment").count(), 4);
        assert_eq!(helm.objects(&Values::none()).of_kind("HorizontalPodAutoscaler").count(), 0);
    }
}

/// What the whole shop asks of the cluster, of all its pods at once.
#[test]
fn the_shop_asks_for_little() {
    let Some(helm) = helm() else { return };
    for (about, values) in [("two of each", Values::none()), ("playground", Values::of("ci/playground-values.yaml"))] {
        let objects = helm.objects(&values);
        let (mut memory, mut cpu) = (0, 0);
        for pod in objects.pods().iter().filter(|pod| ["Deployment", "StatefulSet"].contains(&pod.kind)) {
            let object = objects.one(pod.kind, pod.name);
            let replicas = object["spec"]["replicas"].as_u64().expect("replicas");
            for container in pod.containers() {
                let asked = |what: &str, unit: &str| {
                    let text = container["resources"]["requests"][what].as_str().expect("a request");
                    text.strip_suffix(unit)
                        .unwrap_or_else(|| panic!("{text} in {unit}"))
                        .parse::<u64>()
                        .expect("a number")
                };
                memory += replicas * asked("memory", "Mi");
                cpu += replicas * asked("cpu", "m");
                assert!(
                    container["resources"]["limits"]["cpu"].is_null(),
                    "who is throttled holds connections for longer"
                );
            }
        }
        println!("figure: requests of the whole shop, {about}: {memory} MiB and {cpu} millicores (bound: 300 and 500)");
        assert!(memory <= 300 && cpu <= 500, "{about}: {memory} MiB, {cpu}m");
    }
}

#[test]
fn one_value_moves_every_image_and_every_pod_has_the_pull_secrets() {
    let Some(helm) = helm() else { return };
    for (about, values) in all_values() {
        let moved =
            json!({"image": {"registry": "mirror.example.org/x", "pullSecrets": ["one", "two"], "tag": "1.2.3"}});
        let objects = helm.objects(&values.clone().with(&moved));
        let pods = objects.pods();
        assert!(pods.iter().any(|pod| pod.kind == "Job") && pods.iter().any(|pod| pod.kind == "Pod"), "{about}");
        for pod in &pods {
            assert_eq!(
                pod.spec["imagePullSecrets"],
                json!([{"name": "one"}, {"name": "two"}]),
                "{about}: {}",
                pod.name
            );
            for container in pod.containers() {
                let image = container["image"].as_str().expect("an image");
                assert!(image.starts_with("mirror.example.org/x/"), "{about}: {image}");
                assert!(!image.ends_with(":latest") && image.contains(':'), "{about}: {image}");
            }
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        let pinned = helm.objects(&values.with(&json!({"image": {"digests": {"cart": digest}}})));
        assert_eq!(container(&pinned, "cart")["image"].as_str().map(|image| image.ends_with(&digest)), Some(true));
    }
}

/// What the API server would fill in stands in the manifest, where a list is compared as a whole, or where tools show it as a
/// difference.
#[test]
fn defaults_are_written_out() {
    let Some(helm) = helm() else { return };
    for (about, values) in all_values() {
        let objects = helm.objects(&values);
        for pod in objects.pods() {
            let named = |what: &str| format!("{about}: {} {}: {what}", pod.kind, pod.name);
            for key in ["dnsPolicy", "restartPolicy", "schedulerName", "terminationGracePeriodSeconds"] {
                assert!(!pod.spec[key].is_null(), "{}", named(key));
            }
            for container in pod.containers() {
                assert!(!container["imagePullPolicy"].is_null(), "{}", named("imagePullPolicy"));
                let ports = container["ports"].as_array().into_iter().flatten();
                assert!(ports.into_iter().all(|port| port["protocol"] == "TCP"), "{}", named("protocol"));
                for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                    let probe = &container[probe];
                    for key in ["periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"] {
                        assert!(probe.is_null() || !probe[key].is_null(), "{}", named(key));
                    }
                }
                for variable in container["env"].as_array().into_iter().flatten() {
                    let field = &variable["valueFrom"]["fieldRef"];
                    assert!(field.is_null() || field["apiVersion"] == "v1", "{}", named("fieldRef.apiVersion"));
                }
            }
            for volume in pod.spec["volumes"].as_array().into_iter().flatten() {
                for kind in ["secret", "configMap", "projected"] {
                    let source = &volume[kind];
                    assert!(source.is_null() || !source["defaultMode"].is_null(), "{}", named("defaultMode"));
                }
            }
        }
        for policy in objects.of_kind("NetworkPolicy") {
            let rules = ["ingress", "egress"].into_iter().flat_map(|side| policy["spec"][side].as_array());
            for rule in rules.flatten() {
                for port in rule["ports"].as_array().into_iter().flatten() {
                    assert!(!port["protocol"].is_null(), "{about}: {}", name(policy));
                }
            }
        }
        for service in objects.of_kind("Service") {
            let ports = service["spec"]["ports"].as_array().expect("ports");
            assert!(ports.iter().all(|port| port["protocol"] == "TCP" && !port["targetPort"].is_null()));
        }
        for route in objects.of_kind("HTTPRoute") {
            let parent = &route["spec"]["parentRefs"][0];
            assert_eq!((&parent["kind"], &parent["group"]), (&json!("Gateway"), &json!("gateway.networking.k8s.io")));
            assert_eq!(route["spec"]["rules"][0]["backendRefs"][0]["weight"], 1);
        }
    }
}

/// Whatever is set for all pods reaches all of them, Jobs and the test included.
#[test]
fn what_is_said_for_all_reaches_all_and_what_is_said_for_one_wins() {
    let Some(helm) = helm() else { return };
    let common = json!({
        "nodeSelector": {"pool": "shop"}, "priorityClassName": "high", "runtimeClassName": "sandbox",
        "tolerations": [{"key": "shop", "operator": "Exists", "effect": "NoSchedule"}],
        "podAnnotations": {"note": "all"}, "podLabels": {"mesh": "on"},
        "affinity": {"nodeAffinity": {}},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:1"}, {"name": "RUST_LOG", "value": "debug"}],
        "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "extraContainers": [{"name": "aside", "image": "aside:1"}],
        "extraInitContainers": [{"name": "before", "image": "before:1"}],
    });
    let values = json!({
        "common": common, "jaeger": {"enabled": true}, "shop": {"logFilter": "warn"},
        "cart": {"priorityClassName": "low", "podAnnotations": {"note": "cart"}},
        "jobs": {"podLabels": {"mesh": "off"}, "resources": {"requests": {"cpu": "7m"}}},
        "tests": {"podLabels": {"purpose": "test"}, "resources": {"requests": {"cpu": "3m"}}},
    });
    let objects = helm.objects(&Values::of("ci/playground-values.yaml").with(&values));
    for pod in objects.pods() {
        let about = format!("{} {}", pod.kind, pod.name);
        assert_eq!(pod.spec["nodeSelector"]["pool"], "shop", "{about}");
        assert_eq!(pod.spec["runtimeClassName"], "sandbox", "{about}");
        assert!(!pod.spec["affinity"].is_null(), "{about}");
        assert_eq!(pod.spec["priorityClassName"], if pod.component() == "cart" { "low" } else { "high" }, "{about}");
        assert_eq!(pod.spec["tolerations"].as_array().map(Vec::len), Some(3), "{about}");
        let own = &pod.spec["containers"][0];
        let variables = variables(own);
        assert_eq!(variables["HTTPS_PROXY"]["value"], "http://proxy:1", "{about}");
        assert_eq!(variables["RUST_LOG"]["value"], "debug", "{about}: what the user says wins");
        assert_eq!(own["envFrom"][0]["configMapRef"]["name"], "more", "{about}");
        let mounts = own["volumeMounts"].as_array().expect("mounts");
        assert!(mounts.iter().any(|mount| mount["mountPath"] == "/more"), "{about}");
        // Beside a container that doesn't end a Job doesn't either.
        let ends = ["Job", "Pod"].contains(&pod.kind);
        assert_eq!(pod.spec["containers"][1]["name"] == "aside", !ends, "{about}");
        assert_eq!(pod.spec["initContainers"][0]["name"], "before", "{about}");
        let labels = pod.labels();
        assert_eq!(labels["mesh"], if pod.kind == "Job" { "off" } else { "on" }, "{about}");
        let note = if pod.component() == "cart" { "cart" } else { "all" };
        assert_eq!(pod.metadata["annotations"]["note"], note, "{about}");
        let cpu = &own["resources"]["requests"]["cpu"];
        match pod.kind {
            "Job" => assert_eq!(cpu, "7m", "{about}"),
            "Pod" => assert_eq!((cpu, labels["purpose"]), (&json!("3m"), "test"), "{about}"),
            _ => assert!(!cpu.is_null(), "{about}"),
        }
    }
}

/// A pool that is tuned anew rolls the pods that have it, and no others.
#[test]
fn a_changed_file_of_tunings_rolls_its_pods() {
    let Some(helm) = helm() else { return };
    let before = helm.objects(&Values::none());
    let after = helm.objects(&Values::none().with(&json!({"cart": {"pools": {"cart": {"maxWaitMs": 900}}}})));
    for service in SERVICES {
        let of = |objects: &Objects| {
            objects.one("Deployment", &format!("shop-selvage-{service}"))["spec"]["template"].to_string()
        };
        assert_eq!(of(&before) != of(&after), service == "cart", "{service}");
    }
}
