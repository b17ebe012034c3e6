//! Metrics of the process, from `/proc`. On systems without it there are no such metrics.

use std::fs;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

/// Ticks a second of the times in `/proc/self/stat`: USER_HZ, which is 100 on x86-64 and aarch64.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of CPU in user and in system mode.
fn cpu_seconds() -> Option<(f64, f64)> {
    parse_cpu(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// The name of the program stands in parentheses and may have spaces in it; utime and stime are the 12th and 13th after.
fn parse_cpu(stat: &str) -> Option<(f64, f64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<u32>().map(f64::from).ok()? / TICKS_PER_SECOND);
    Some((seconds()?, seconds()?))
}

/// Bytes of resident memory.
fn resident_bytes() -> Option<u64> {
    parse_resident(&fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Open files, sockets included.
fn open_files() -> Option<u64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// Adds the metrics of this process.
pub(crate) fn observe() {
    let meter = opentelemetry::global::meter("selvage.process");
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("Total CPU seconds broken down by different CPU modes.")
        .with_callback(|instrument| {
            if let Some((user, system)) = cpu_seconds() {
                instrument.observe(user, &[KeyValue::new("cpu.mode", "user")]);
                instrument.observe(system, &[KeyValue::new("cpu.mode", "system")]);
            }
        })
        .build();
    count(&meter, "process.memory.usage", "By", "The amount of physical memory in use.", resident_bytes);
    let description = "Number of unix file descriptors in use by the process.";
    count(&meter, "process.unix.file_descriptor.count", "{file_descriptor}", description, open_files);
}

/// Adds one metric whose value `number` returns when it is asked for.
fn count(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    number: fn() -> Option<u64>,
) {
    meter
        .i64_observable_up_down_counter(name)
        .with_unit(unit)
        .with_description(description)
        .with_callback(move |instrument| {
            if let Some(number) = number() {
                instrument.observe(i64::try_from(number).unwrap_or(i64::MAX), &[]);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_understood() {
        let stat = "1234 (a (strange) name) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0 99 1000 200";
        assert_eq!(parse_cpu(stat), Some((2.5, 0.5)));
        assert_eq!(parse_cpu("nothing"), None);
        assert_eq!(parse_resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 * 1024 * 1024));
        assert_eq!(parse_resident("VmSize: 1 kB"), None);
    }
}
