//! For how long the kernel kept the process from computing, by the CPU limit of its control group.

use std::time::Duration;

/// Where the kernel says it, within a container: version 2 of control groups, and version 1.
const FILES: [&str; 2] = ["/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat"];

/// Since the process's control group was made; `None` where the kernel doesn't say. Reads a file of the kernel's, which takes
/// some microseconds.
pub(crate) fn so_far() -> Option<Duration> {
    FILES.iter().find_map(|file| of(&std::fs::read_to_string(file).ok()?))
}

fn of(text: &str) -> Option<Duration> {
    let number = |key: &str| {
        let mut words = text.lines().map(str::split_whitespace);
        words.find_map(|mut line| (line.next() == Some(key)).then(|| line.next()?.parse::<u64>().ok())?)
    };
    let micros = || number("throttled_usec").map(Duration::from_micros);
    micros().or_else(|| number("throttled_time").map(Duration::from_nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_understood() {
        let second = "usage_usec 4711\nnr_periods 10\nnr_throttled 2\nthrottled_usec 1500\nnr_bursts 0\n";
        assert_eq!(of(second), Some(Duration::from_micros(1500)));
        let first = "nr_periods 10\nnr_throttled 2\nthrottled_time 1500\n";
        assert_eq!(of(first), Some(Duration::from_nanos(1500)));
        assert_eq!(of("usage_usec 4711\n"), None, "no limit, nothing to say");
        assert_eq!(of("throttled_usec many\n"), None);
    }
}
