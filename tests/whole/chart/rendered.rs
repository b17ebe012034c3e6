//! What the chart renders: sound to helm's own eyes and to Kubernetes' schema, the same each time, and as committed.

use std::fs;
use std::path::Path;
use std::process::Command;

use selvage_tests::cluster::top;
use selvage_tests::helm::{Helm, KUBERNETES, Objects, Values, chart, name};
use selvage_tests::installed::installed;
use serde_json::{Value, json};

use super::{SKIPPED, all_values, compare_or_write, files, helm};

/// Each golden in `k8s/rendered`, and the values that it is rendered with, as seen from the chart.
const GOLDENS: [(&str, &str); 4] = [
    ("playground", "ci/playground-values.yaml"),
    ("small", "../../k8s/examples/small.yaml"),
    ("medium", "../../k8s/examples/medium.yaml"),
    ("large", "../../k8s/examples/large.yaml"),
];

#[test]
fn helm_finds_nothing_to_complain_about() {
    let Some(helm) = helm() else { return };
    let files: [&[&str]; 5] = [
        &[],
        &["ci/playground-values.yaml"],
        &["ci/small-values.yaml"],
        &["ci/large-values.yaml"],
        &["ci/playground-values.yaml", "ci/operator-values.yaml"],
    ];
    for file in files {
        let mut arguments = vec!["lint", "--strict", ".", "--kube-version", KUBERNETES];
        arguments.extend(file.iter().flat_map(|file| ["--values", *file]));
        let output = helm.run(&arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !said.contains("[WARNING]"), "{file:?}: {said}");
    }
}

/// Rendered twice, by either helm, at an upgrade or not: the same bytes. GitOps tools render again and again.
#[test]
fn rendered_twice_it_is_the_same() {
    let helms = Helm::find_all(SKIPPED);
    let Some(first) = helms.first() else { return };
    for (about, values) in all_values() {
        let text = first.template(&values).expect("it renders");
        assert_eq!(first.template(&values).as_ref(), Ok(&text), "{about}");
        for helm in &helms[1..] {
            let other = helm.objects(&values);
            assert_eq!(Objects::read(&text).all(), other.all(), "{about}, by the other helm");
        }
    }
    let render = |arguments: &[&str]| {
        let always = ["template", "shop", ".", "--namespace", "selvage", "--kube-version", KUBERNETES];
        let output = first.run(&[&always[..], arguments].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(render(&[]), render(&["--is-upgrade"]));
    assert_eq!(render(&[]), render(&["--api-versions", "monitoring.coreos.com/v1"]));
}

/// What templates must not use, and why.
const FORBIDDEN: [(&str, &str); 14] = [
    ("rand", "another value each time"),
    ("shuffle", "another value each time"),
    ("uuidv4", "another value each time"),
    ("genCA", "another value each time"),
    ("genSelfSignedCert", "another value each time"),
    ("genSignedCert", "another value each time"),
    ("genPrivateKey", "another value each time"),
    ("now", "another value each time"),
    ("lookup", "empty where nothing is installed, as when GitOps tools render"),
    ("IsUpgrade", "GitOps tools always install"),
    ("IsInstall", "GitOps tools always install"),
    ("Revision", "GitOps tools know one alone"),
    ("Capabilities", "helm's offline rendering guesses them"),
    ("getHostByName", "it asks the machine that renders"),
];

#[test]
fn templates_depend_on_their_values_alone() {
    let mut findings = Vec::new();
    for path in files(&chart().join("templates")) {
        let text = fs::read_to_string(&path).expect("a template");
        for (index, line) in text.lines().enumerate() {
            let code = line.split_once("/*").map_or(line, |(code, _)| code);
            let words: Vec<_> = code.split(|letter: char| !letter.is_alphanumeric()).collect();
            let is_code = line.contains("{{");
            for (word, why) in FORBIDDEN {
                let stands = if word == "rand" {
                    words.iter().any(|found| found.starts_with("rand"))
                } else {
                    words.contains(&word)
                };
                if is_code && stands {
                    findings.push(format!("{}:{}: {word}: {why}", path.display(), index + 1));
                }
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn the_committed_manifests_are_what_is_rendered() {
    let Some(helm) = helm() else { return };
    for (which, values) in GOLDENS {
        let text = helm.template(&Values::of(values)).unwrap_or_else(|error| panic!("{values}: {error}"));
        // Dashboards are files of their own, and their numbers are compared where they are written.
        let objects: Vec<_> = text.split("\n---\n").filter(|object| !object.contains("dashboards.yaml")).collect();
        let text = format!("{}\n", objects.join("\n---\n").trim_end());
        compare_or_write(&top().join(format!("k8s/rendered/{which}.yaml")), &text);
    }
}

/// What Argo CD and Flux are told to take is there.
#[test]
fn the_examples_of_gitops_name_what_is_there() {
    let read =
        |file: &str| Objects::read(&fs::read_to_string(top().join("k8s/examples").join(file)).expect("an example"));
    let argo = read("argocd.yaml");
    let source = &argo.one("Application", "shop")["spec"]["source"];
    let path = source["path"].as_str().expect("a path");
    let values = source["helm"]["valueFiles"].as_array().expect("files").clone();
    let flux = read("flux.yaml");
    let chart = &flux.one("HelmRelease", "shop")["spec"]["chart"]["spec"];
    let of_flux = chart["valuesFiles"].as_array().expect("files").clone();
    let wanted = values.iter().map(|file| format!("{path}/{}", file.as_str().expect("a file")));
    let wanted = wanted.chain(of_flux.iter().map(|file| file.as_str().expect("a file").to_owned()));
    let paths: Vec<_> =
        wanted.chain([format!("{path}/Chart.yaml"), chart["chart"].as_str().expect("a path").into()]).collect();
    assert!(paths.len() >= 5, "{paths:?}");
    for path in paths {
        assert!(top().join(&path).exists(), "there is no {path}");
    }
}

/// No hook but that of `helm test`: an installation that waits would wait for ever for what comes after it, and Argo CD knows
/// few of them.
#[test]
fn nothing_essential_is_a_hook() {
    let Some(helm) = helm() else { return };
    for (about, values) in all_values() {
        let objects = helm.objects(&values);
        for object in objects.all() {
            let annotations = object["metadata"]["annotations"].as_object();
            let mut hooks = annotations.into_iter().flatten().filter(|(key, _)| key.starts_with("helm.sh/hook"));
            let is_test = object["metadata"]["annotations"]["helm.sh/hook"] == "test";
            assert!(is_test || hooks.next().is_none(), "{about}: {}", name(object));
            assert!(!is_test || object["kind"] == "Pod", "{about}: {}", name(object));
        }
    }
}

/// A Job is named by what it does: the same Job is left alone, and another gets another name, since a Job can't be changed.
#[test]
fn jobs_are_named_by_what_they_do() {
    let Some(helm) = helm() else { return };
    let jobs = |values: &Value| {
        let objects = helm.objects(&Values::of("ci/playground-values.yaml").with(values));
        objects.of_kind("Job").map(|job| (name(job).to_owned(), job["spec"].clone())).collect::<Vec<_>>()
    };
    let before = jobs(&json!({}));
    assert_eq!(before.len(), 6, "four migrations, the keys and the samples: {before:?}");
    // What has nothing to do with them changes nothing.
    assert_eq!(jobs(&json!({"web": {"replicas": 3}, "commonLabels": {"team": "shop"}})).len(), before.len());
    assert_eq!(jobs(&json!({"web": {"replicas": 3}})), before);
    for other in [json!({"image": {"tag": "2.0.0"}}), json!({"cart": {"database": {"role": "bags"}}})] {
        let after = jobs(&other);
        for (name, spec) in &before {
            let same = after.iter().find(|(other, _)| other == name);
            assert!(same.is_none_or(|(_, other)| other == spec), "{name} says something else under the same name");
        }
        assert!(after.iter().any(|job| !before.contains(job)), "{other}");
    }
}

/// Kubernetes' own schema, where the sources of the Kubernetes that the tests build are here.
#[test]
fn kubernetes_schema_holds() {
    let (Some(helm), Some(kubeconform)) = (helm(), installed(&["kubeconform"], "the chart by Kubernetes' schema"))
    else {
        return;
    };
    let Some(folder) = schemas() else { return };
    // How many objects are right, or what isn't.
    let judge = |about: &str, text: &str| {
        let file = folder.path().join(format!("{about}.yaml"));
        fs::write(&file, text).expect("it is written");
        let output = Command::new(&kubeconform)
            .args(["-strict", "-summary", "-output", "json", "-schema-location"])
            .arg(folder.path().join("{{ .ResourceKind }}{{ .KindSuffix }}.json"))
            // Other people's kinds have schemas of their own.
            .args([
                "-skip",
                "PodMonitor,ServiceMonitor,PrometheusRule,HTTPRoute,Cluster,Database,ConnectionBudget,PoolScaler",
            ])
            .arg(&file)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let summary: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        let valid = summary["summary"]["valid"].as_u64().expect("a number");
        if output.status.success() { Ok(valid) } else { Err(said) }
    };
    for (about, values) in all_values() {
        let text = helm.template(&values).expect("it renders");
        assert!(judge(about, &text).unwrap_or_else(|error| panic!("{about}: {error}")) >= 40, "{about}");
        // The judge itself: a field that Kubernetes doesn't know is found.
        let wrong = text.replace("terminationGracePeriodSeconds", "terminationGraceSeconds");
        assert!(judge("wrong", &wrong).is_err_and(|said| said.contains("terminationGraceSeconds")));
    }
    for path in files(&top().join("k8s/development")) {
        let text = fs::read_to_string(&path).expect("a manifest");
        let valid = judge("development", &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(valid >= 3, "{}", path.display());
    }
}

/// A schema for each kind, made of what Kubernetes publishes about its API.
fn schemas() -> Option<tempfile::TempDir> {
    let listed = Command::new("go")
        .args(["list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes"])
        .current_dir(top().join("tests/tools/k8s"))
        .output()
        .ok()?;
    let sources = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    let Ok(text) = fs::read_to_string(Path::new(&sources).join("api/openapi-spec/swagger.json")) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true, and Kubernetes' sources aren't here");
        eprintln!("!! SKIPPED: the chart by Kubernetes' schema. To run it: tests/run, which gets Kubernetes' sources");
        return None;
    };
    let mut api: Value = serde_json::from_str(&text).expect("JSON");
    let definitions = api["definitions"].as_object_mut().expect("definitions");
    let mut kinds = Vec::new();
    for (named, definition) in definitions.iter_mut() {
        for known in definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let text = |key: &str| known[key].as_str().unwrap_or_default().to_lowercase();
            let group = text("group").split('.').next().unwrap_or_default().to_owned();
            let suffix = if group.is_empty() { text("version") } else { format!("{group}-{}", text("version")) };
            kinds.push((format!("{}-{suffix}.json", text("kind")), named.clone()));
        }
        // A field that isn't known is a mistake.
        if definition["properties"].is_object() && definition["additionalProperties"].is_null() {
            definition["additionalProperties"] = false.into();
        }
        // A number or a text.
        if definition["format"] == "int-or-string" {
            *definition = json!({"anyOf": [{"type": "integer"}, {"type": "string"}]});
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let all = json!({"definitions": definitions});
    fs::write(folder.path().join("all.json"), all.to_string()).expect("it is written");
    for (file, named) in kinds {
        let schema = json!({"$ref": format!("all.json#/definitions/{named}")});
        fs::write(folder.path().join(file), schema.to_string()).expect("it is written");
    }
    Some(folder)
}
