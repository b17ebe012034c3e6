//! How much of the CPU that it may use the process's control group uses, and for how long it was kept from computing.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

/// Where the kernel shows a container its control group.
const FOLDER: &str = "/sys/fs/cgroup";
/// A share is of this time at the least: reports at an edge come 50 ms apart, and of so little a quota's period of 100 ms says
/// nothing.
const OVER: Duration = Duration::from_secs(1);

/// What is read of the kernel now and then, which takes some ten microseconds.
pub(crate) struct Cpu {
    folder: PathBuf,
    /// What had been used at this time.
    before: Option<(Instant, Duration)>,
    share: Option<f64>,
}

impl Cpu {
    /// The process's own.
    pub(crate) fn own() -> Self {
        Self::within(FOLDER)
    }

    fn within(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), before: None, share: None }
    }

    /// For how long the control group has been kept from computing since it was made; `None` where the kernel doesn't say.
    pub(crate) fn throttled(&self) -> Option<Duration> {
        let files = ["cpu.stat", "cpu/cpu.stat"];
        files.iter().find_map(|file| throttled(&self.read(file)?))
    }

    /// The share of its limit that the control group used for the last second or so: 1 is all of it, and a moment may be more.
    /// `None` without a limit, or before a second has passed.
    pub(crate) fn share(&mut self, now: Instant) -> Option<f64> {
        let Some((used, cores)) = self.used().zip(self.limit()) else {
            (self.before, self.share) = (None, None);
            return None;
        };
        match self.before {
            Some((at, _)) if now.duration_since(at) < OVER => {}
            Some((at, before)) => {
                let seconds = now.duration_since(at).as_secs_f64();
                self.share = Some(used.saturating_sub(before).as_secs_f64() / seconds / cores);
                self.before = Some((now, used));
            }
            None => self.before = Some((now, used)),
        }
        self.share
    }

    /// What has been used since the control group was made.
    fn used(&self) -> Option<Duration> {
        let second = || Some(Duration::from_micros(number(&self.read("cpu.stat")?, "usage_usec")?));
        let first = || Some(Duration::from_nanos(self.read("cpuacct/cpuacct.usage")?.trim().parse().ok()?));
        second().or_else(first)
    }

    /// The processors that may be used; `None` without a limit.
    fn limit(&self) -> Option<f64> {
        let second = || {
            let text = self.read("cpu.max")?;
            let (quota, period) = text.trim().split_once(' ')?;
            ratio(quota, period)
        };
        let first = || ratio(&self.read("cpu/cpu.cfs_quota_us")?, &self.read("cpu/cpu.cfs_period_us")?);
        second().or_else(first)
    }

    fn read(&self, file: &str) -> Option<String> {
        read_to_string(Path::new(&self.folder).join(file)).ok()
    }
}

/// A quota per period, in processors. Without a quota it is `max`, or below 0.
fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period) = (quota.trim().parse::<f64>().ok()?, period.trim().parse::<f64>().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

/// The number behind a word at the beginning of a line.
fn number(text: &str, key: &str) -> Option<u64> {
    let mut words = text.lines().map(str::split_whitespace);
    words.find_map(|mut line| (line.next() == Some(key)).then(|| line.next()?.parse().ok())?)
}

fn throttled(text: &str) -> Option<Duration> {
    let micros = || number(text, "throttled_usec").map(Duration::from_micros);
    micros().or_else(|| number(text, "throttled_time").map(Duration::from_nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A control group that has these files.
    fn group(files: &[(&str, &str)]) -> (tempfile::TempDir, Cpu) {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, files);
        let cpu = Cpu::within(folder.path());
        (folder, cpu)
    }

    fn write(folder: &tempfile::TempDir, files: &[(&str, &str)]) {
        for (file, text) in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    fn is_about(share: Option<f64>, wanted: f64) -> bool {
        share.is_some_and(|share| (share - wanted).abs() < 1e-9)
    }

    #[test]
    fn both_versions_of_control_groups_say_for_how_long_they_were_throttled() {
        let stat = "usage_usec 4711\nnr_periods 10\nnr_throttled 2\nthrottled_usec 1500\nnr_bursts 0\n";
        assert_eq!(group(&[("cpu.stat", stat)]).1.throttled(), Some(Duration::from_micros(1500)));
        let stat = "nr_periods 10\nnr_throttled 2\nthrottled_time 1500\n";
        assert_eq!(group(&[("cpu/cpu.stat", stat)]).1.throttled(), Some(Duration::from_nanos(1500)));
        assert_eq!(group(&[("cpu.stat", "usage_usec 4711\n")]).1.throttled(), None, "no limit, nothing to say");
        assert_eq!(group(&[("cpu.stat", "throttled_usec many\n")]).1.throttled(), None);
        assert_eq!(group(&[]).1.throttled(), None);
    }

    #[test]
    fn a_share_is_of_the_quota_and_of_a_second_at_least() {
        let start = Instant::now();
        let second = |usage: &'static str| [("cpu.max", "50000 100000\n"), ("cpu.stat", usage)];
        let (folder, mut cpu) = group(&second("usage_usec 1000000\nuser_usec 1\n"));
        assert_eq!(cpu.share(start), None, "nobody knows yet");
        write(&folder, &second("usage_usec 1400000\n"));
        assert_eq!(cpu.share(start + OVER / 2), None);
        // 0.8 s of a processor in 2 s, of which 1 s could be used.
        write(&folder, &second("usage_usec 1800000\n"));
        assert!(is_about(cpu.share(start + 2 * OVER), 0.8));
        write(&folder, &second("usage_usec 9000000\n"));
        assert!(is_about(cpu.share(start + 2 * OVER + OVER / 2), 0.8), "it stays for a second");
    }

    #[test]
    fn the_first_version_of_control_groups_is_understood_too() {
        let start = Instant::now();
        let first = |usage: &'static str, quota: &'static str| {
            [("cpuacct/cpuacct.usage", usage), ("cpu/cpu.cfs_quota_us", quota), ("cpu/cpu.cfs_period_us", "100000\n")]
        };
        let (folder, mut cpu) = group(&first("1000000000\n", "200000\n"));
        assert_eq!(cpu.share(start), None);
        write(&folder, &first("2000000000\n", "200000\n"));
        assert!(is_about(cpu.share(start + OVER), 0.5), "one of two processors");
        write(&folder, &first("3000000000\n", "-1\n"));
        assert_eq!(cpu.share(start + 2 * OVER), None, "the limit was taken away");
    }

    #[test]
    fn without_a_limit_there_is_no_share() {
        let start = Instant::now();
        for files in [
            &[("cpu.max", "max 100000\n"), ("cpu.stat", "usage_usec 1\n")][..],
            &[("cpu.max", "50000\n"), ("cpu.stat", "usage_usec 1\n")],
            &[("cpu.max", "0 100000\n"), ("cpu.stat", "usage_usec 1\n")],
            &[("cpu.max", "50000 100000\n"), ("cpu.stat", "usage_usec many\n")],
            &[("cpu/cpu.cfs_quota_us", "-1\n"), ("cpuacct/cpuacct.usage", "1\n")],
            &[],
        ] {
            let (_folder, mut cpu) = group(files);
            assert_eq!((cpu.share(start), cpu.share(start + OVER)), (None, None), "{files:?}");
        }
    }

    /// Counters that went back are those of another control group.
    #[test]
    fn a_share_is_never_below_nothing() {
        let start = Instant::now();
        let (folder, mut cpu) = group(&[("cpu.max", "100000 100000\n"), ("cpu.stat", "usage_usec 9000000\n")]);
        assert_eq!(cpu.share(start), None);
        write(&folder, &[("cpu.stat", "usage_usec 5\n")]);
        assert!(is_about(cpu.share(start + OVER), 0.0));
    }
}
