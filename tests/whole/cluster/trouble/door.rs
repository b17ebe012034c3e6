//! What a browser meets at the one address of the pages' Service.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// Who waits for longer takes the page for dead.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at a page, with a connection of its own each time, until it is told.
pub(super) struct Door {
    ended: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<(Instant, bool)>>>,
    looks: JoinHandle<()>,
}

fn answers(address: &str) -> bool {
    let look = || -> std::io::Result<bool> {
        let address: SocketAddr = address.parse().expect("an address and a port");
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start.starts_with(b"HTTP/1.1 200"))
    };
    look().unwrap_or(false)
}

impl Door {
    pub(super) fn watch(url: &str) -> Self {
        let (ended, seen) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default());
        let address = url.strip_prefix("http://").expect("http").to_owned();
        let looks = {
            let (ended, seen) = (ended.clone(), seen.clone());
            std::thread::spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let answer = answers(&address);
                    seen.lock().unwrap().push((began, answer));
                    std::thread::sleep(EVERY.saturating_sub(began.elapsed()));
                }
            })
        };
        Self { ended, seen, looks }
    }

    /// Ends it, and says what was met since then.
    pub(super) fn tell(self, since: Instant) {
        self.ended.store(true, Ordering::Relaxed);
        self.looks.join().unwrap();
        let seen = self.seen.lock().unwrap();
        let missed: Vec<_> = seen.iter().filter(|(_, answer)| !answer).map(|(when, _)| *when - since).collect();
        let last = missed.last().map_or_else(|| "none".to_owned(), |last| format!("{:.1} s after", last.as_secs_f64()));
        println!(
            "  at the Service's one address {} of {} pages didn't come, the last {last} the worker died",
            missed.len(),
            seen.len(),
        );
    }
}
