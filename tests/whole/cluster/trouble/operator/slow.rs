//! The database server is short of processors: more connections or pods would make it worse.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use selvage_tests::metrics::Metrics;

use super::super::causes::main_process;
use super::super::{STEADY_BOUND, Shop, eventually, execute};
use super::watch::Watch;
use super::{is_so, leader, scaler, status};

/// Where the operator serves its metrics.
const METRICS: u16 = 9469;

/// The part that the server keeps of the processor's time that it took before. What it keeps suffices for nobody, however
/// fast the machine is: it answers late nearly always, and not now and then.
const KEPT: f64 = 1.0 / 3.0;
/// The kernel's least limit is 1 ms of each period, which is a tenth of a second.
const PERIOD: Duration = Duration::from_millis(100);
const LEAST: Duration = Duration::from_millis(1);
/// Somebody comes this often: what they order takes two of the three connections that there are.
const LOAD: Duration = Duration::from_millis(400);
/// How long it is measured what the server takes.
const MEASURED: Duration = Duration::from_secs(5);
/// So long nobody waits before anything is done to it.
const QUIET_FOR: Duration = Duration::from_secs(5);
/// The probe's statement as a multiple of what it usually takes, once that is known.
const SLOWNESS: &str = "selvage_operator_probe_slowness";
/// How long nothing may scale out after it was named.
const WATCHED: Duration = Duration::from_secs(15);

/// A container's limit on processors, restored when this is dropped.
struct Slowed {
    file: PathBuf,
    before: String,
}

/// The processors' time that a container took so far: all the processes of its group, which outlive a measurement.
fn taken(container: &Path) -> Duration {
    let processes = std::fs::read_to_string(container.join("cgroup.procs")).expect("its processes");
    let ran = |process: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(processes.lines().filter_map(ran).sum())
}

impl Slowed {
    /// Leaves so much of each [`PERIOD`] to the container of the process as it must make do with, by what it takes now.
    fn below_what_it_takes(process: u32) -> Self {
        let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup")).expect("its cgroups");
        let of = |line: &str| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let path = path.trim_start_matches('/');
            let is_cpu = controllers.split(',').any(|name| name == "cpu");
            if is_cpu {
                Some(Path::new("/sys/fs/cgroup/cpu").join(path).join("cpu.cfs_quota_us"))
            } else {
                controllers.is_empty().then(|| Path::new("/sys/fs/cgroup").join(path).join("cpu.max"))
            }
        };
        let files: Vec<_> = groups.lines().filter_map(of).filter(|file| file.is_file()).collect();
        let file = files.into_iter().next().unwrap_or_else(|| panic!("no limit on processors in {groups}"));
        let before = std::fs::read_to_string(&file).expect("a limit").trim().to_owned();
        let container = file.parent().expect("a folder");
        let at_first = taken(container);
        std::thread::sleep(MEASURED);
        let share = taken(container).saturating_sub(at_first).div_duration_f64(MEASURED);
        assert!(share > 0.0, "the kernel doesn't say what processes take: /proc/PID/schedstat");
        let quota = PERIOD.mul_f64(share * KEPT).max(LEAST);
        println!(
            "  it takes {:.1} % of a processor, and keeps {:.1} ms of each 100",
            share * 100.0,
            quota.as_secs_f64() * 1e3
        );
        let quota = if file.ends_with("cpu.max") {
            format!("{} {}", quota.as_micros(), PERIOD.as_micros())
        } else {
            quota.as_micros().to_string()
        };
        std::fs::write(&file, quota).expect("a limit");
        Self { file, before }
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        let _ = std::fs::write(&self.file, &self.before);
    }
}

/// What the operator's leader says of itself; nothing while there is none.
fn of_leader(shop: &Shop<'_, '_>) -> Option<Metrics> {
    let leads = leader(shop.release);
    let leads = shop.release.pods().into_iter().find(|pod| pod.name == leads)?;
    Metrics::ask(&format!("{}:{METRICS}", leads.address))
}

/// What the operator sees of the database, and what it takes that for.
fn look(shop: &Shop<'_, '_>) -> String {
    let Some(metrics) = of_leader(shop) else { return "nobody leads".to_owned() };
    let of = |name: &str| metrics.sum(name, &[]);
    let classes: Vec<_> = ["catalogue", "cart", "checkout", "delivery"]
        .iter()
        .map(|service| scaler(shop.release, service)["lastDecision"]["class"].to_string())
        .collect();
    format!(
        "the statement took {:.4} s, {:.1} × its baseline; {}",
        of("selvage_operator_probe_statement_seconds"),
        of(SLOWNESS),
        classes.join(", ")
    )
}

/// From now on an order costs the server so much that the kernel's limits can be told apart: some 30 ms.
async fn cost_much(shop: &Shop<'_, '_>) {
    let costs = "CREATE FUNCTION costs_much() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM sum(i) FROM generate_series(1, 300000) AS i; RETURN NEW; END $$; \
         CREATE TRIGGER costs_much BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION costs_much()";
    execute(shop.release, "checkout", costs).await;
}

/// The server becomes slow under a load that it carries; nothing scales out, and the database is named.
pub(super) async fn database(shop: &mut Shop<'_, '_>, watch: &Watch) {
    cost_much(shop).await;
    shop.load.come_each(LOAD);
    let mut quiet = Instant::now();
    eventually(STEADY_BOUND * 2, "all is well, and what is usual is known", shop.release, || {
        if watch.pools_since(quiet).iter().any(|(_, pools)| pools.waiting > 0.0) {
            quiet = Instant::now();
        }
        let is_known = of_leader(shop).is_some_and(|metrics| metrics.sum(SLOWNESS, &[]) > 0.0);
        is_known && quiet.elapsed() > QUIET_FOR && shop.load.is_steady_since(quiet)
    });
    let mut began = Instant::now();
    let (mut scaled, mut counted) = (Vec::new(), 0.0);
    shop.trouble("a database without processors", |shop| {
        let pod = shop.release.pods().into_iter().find(|pod| pod.component == "postgres").expect("PostgreSQL");
        let slowed = Slowed::below_what_it_takes(main_process(&pod.uid, "postgres"));
        began = Instant::now();
        eventually(STEADY_BOUND, "the database is named", shop.release, || {
            println!("  {:.1} s: {}", began.elapsed().as_secs_f64(), look(shop));
            is_so(&status(shop.release), "DatabaseBottleneck")
        });
        let named = Instant::now();
        let first = watch.pools_since(began).into_iter().find(|(_, pools)| pools.waiting > 0.0);
        let since = |at: Instant| named.saturating_duration_since(at).as_secs_f64();
        let after_first = first.map(|(at, _)| since(at));
        println!(
            "  the database is named after {:.1} s, and {after_first:.1?} s after the first who waits",
            since(began)
        );
        while named.elapsed() < WATCHED {
            // What the alert DatabaseBottleneck counts.
            let bound = [("class", "DatabaseBound")];
            let now = of_leader(shop).map_or(0.0, |metrics| metrics.sum("selvage_operator_class", &bound));
            counted = f64::max(counted, now);
            println!("  {:.1} s: {}", began.elapsed().as_secs_f64(), look(shop));
            std::thread::sleep(Duration::from_secs(1));
        }
        for service in ["catalogue", "cart", "checkout", "delivery"] {
            let decision = scaler(shop.release, service)["lastDecision"].clone();
            println!("  {service}: {}: {}", decision["class"], decision["reason"]);
        }
        scaled = watch.replicas_since(began);
        drop(slowed);
        let undone = Instant::now();
        shop.load.come_each(Duration::from_millis(1000));
        eventually(STEADY_BOUND * 2, "it isn't taken for the bottleneck any more", shop.release, || {
            !is_so(&status(shop.release), "DatabaseBottleneck")
        });
        println!("  and not any more {:.1} s after it has them again", undone.elapsed().as_secs_f64());
        Some(undone)
    });
    shop.demand(counted > 0.0, || "the alert DatabaseBottleneck has nothing to count".to_owned());
    // Who waited all the while is then served by more pods, which is as it should be.
    let replicas: Vec<_> = scaled.into_iter().map(|(_, count)| count).collect();
    println!("  replicas meanwhile: {replicas:?}");
    shop.demand(replicas.is_sorted_by(|one, next| one > next), || format!("it scaled out: {replicas:?}"));
}
