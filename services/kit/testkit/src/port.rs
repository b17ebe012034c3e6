use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which systems give out ports by themselves (32768 on Linux), so that nobody is given one of these
/// between now and its use.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port on the loopback address that is free, and that no other caller in this process is told of until thousands were.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    // Test processes that run side by side begin apart.
    let start = u16::try_from(std::process::id() * 61 % u32::from(COUNT)).expect("below the count");
    for _ in 0..COUNT {
        let port = FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
