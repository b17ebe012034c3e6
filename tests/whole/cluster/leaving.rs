//! A cluster leaves nothing on the machine, however it ends.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use selvage_tests::cluster::{self, run};

/// Settings of the kernel that a kubelet changes.
const SETTINGS: [&str; 3] = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"];

/// What a cluster could leave: each as whoever looks for it finds it.
fn traces_of_clusters() -> BTreeSet<String> {
    let lines = |text: String| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    let mut found = BTreeSet::new();
    for mount in lines(std::fs::read_to_string("/proc/self/mountinfo").unwrap()) {
        found.insert(format!("mount {}", mount.split(' ').nth(4).unwrap()));
    }
    for link in lines(run(Command::new("ip").args(["-brief", "link"]))) {
        found.insert(format!("link {}", link.split([' ', '@']).next().unwrap()));
    }
    found.extend(
        lines(run(Command::new("ip").args(["route"]))).into_iter().map(|route| format!("route {}", route.trim())),
    );
    for folder in lines(run(Command::new("find").args(["/sys/fs/cgroup/", "-maxdepth", "2", "-type", "d"]))) {
        found.insert(format!("cgroup {folder}"));
    }
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        // Another cluster may run beside it.
        let cgroups = std::fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        if ["selvage-tests", "selvage-playground"].iter().any(|other| cgroups.contains(other)) {
            continue;
        }
        for namespace in ["net", "mnt", "pid"] {
            // A process that has ended since has none.
            if let Ok(namespace) = std::fs::read_link(process.path().join("ns").join(namespace)) {
                found.insert(format!("namespace {}", namespace.display()));
            }
        }
    }
    for setting in SETTINGS {
        let value = std::fs::read_to_string(format!("/proc/sys/{setting}")).unwrap();
        found.insert(format!("{setting} is {}", value.trim()));
    }
    found
}

fn nothing_new(before: &BTreeSet<String>, when: &str) {
    let now = traces_of_clusters();
    let new: Vec<_> = now.difference(before).collect();
    assert!(new.is_empty(), "{when} there is still {new:#?}");
}

/// A script that holds the cluster for as long as `owner` lives.
fn held_for(owner: &mut Child) -> Child {
    let mut command = Command::new(cluster::script());
    command.args(["--name", "trial", "hold"]).stdin(owner.stdout.take().expect("piped")).stdout(Stdio::piped());
    let mut holder = command.spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "ready"), "the cluster didn't come up");
    holder
}

/// Somebody who holds the other end of a script's standard input, and does nothing else.
fn owner() -> Child {
    Command::new("sleep").arg("infinity").stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn nothing_stays_when_its_owner_is_killed_or_its_script() {
    if !cluster::possible() || cluster::given().is_some() {
        return;
    }
    let before = traces_of_clusters();

    // Whoever started it is killed: it ends by itself.
    let mut killed = owner();
    let mut holder = held_for(&mut killed);
    let up = traces_of_clusters();
    for (kind, least) in [("mount", 0), ("link sv-trial", 1), ("route", 3), ("cgroup", 1), ("namespace", 6)] {
        let new = up.difference(&before).filter(|found| found.starts_with(kind)).count();
        assert!(new >= least, "the test doesn't see what a cluster has: {new} new of {kind}");
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(holder.wait().unwrap().success());
    nothing_new(&before, "after its owner was killed");

    // The script that holds it is killed: it runs on, and whoever ends it, or starts one, finds it all.
    let mut owner = owner();
    let mut killed = held_for(&mut owner);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(traces_of_clusters().iter().any(|found| found == "link sv-trial"), "it runs on");
    run(Command::new(cluster::script()).args(["--name", "trial", "down"]));
    owner.kill().unwrap();
    owner.wait().unwrap();
    nothing_new(&before, "after its script was killed, and it was ended");
}
