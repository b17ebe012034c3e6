//! Standard error, written by a thread of its own: who logs never waits for who reads.
//!
//! A pipe that nobody reads is full after 64 KiB, and who writes into it then sleeps until somebody does. So lines wait in a
//! queue with a bound. Those beyond it are lost and counted, in `selvage.telemetry.lines`, and a line says so once there is
//! room again.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use tracing_subscriber::fmt::MakeWriter;

use crate::repeats::{self, Repeats};

/// Bytes of lines that wait to be written: some 4,000 lines.
const MAX_WAITING: usize = 1024 * 1024;

/// The process's own: there is one standard error.
static OF_PROCESS: OnceLock<Lines> = OnceLock::new();

/// Lines on their way to where they are written. Clones are the same.
#[derive(Clone)]
pub(crate) struct Lines {
    jobs: Sender<Job>,
    counts: Arc<Counts>,
    repeats: Arc<Repeats>,
}

enum Job {
    Write(Vec<u8>),
    /// Says when everything before it has been written.
    Flush(SyncSender<()>),
    /// Some line is held back, so that there will be something to tell.
    Held,
}

#[derive(Default)]
struct Counts {
    /// Bytes in the queue.
    waiting: AtomicUsize,
    written: AtomicU64,
    /// For want of room.
    lost: AtomicU64,
    /// Whose writing failed: standard error is closed.
    failed: AtomicU64,
}

impl Lines {
    /// Lines that a new thread writes to `out`; `None` if there can be no thread.
    pub(crate) fn to(out: impl Write + Send + 'static) -> Option<Self> {
        let (jobs, todo) = channel();
        let wake = jobs.clone();
        // Err: the thread has ended, which it doesn't.
        let repeats = Arc::new(Repeats::new(move || drop(wake.send(Job::Held))));
        let lines = Self { jobs, counts: Arc::default(), repeats };
        let (counts, repeats) = (lines.counts.clone(), lines.repeats.clone());
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || write(&todo, out, &counts, &repeats)).ok()?;
        Some(lines)
    }

    /// Those of the process, which go to standard error.
    pub(crate) fn of_process() -> Option<&'static Self> {
        if OF_PROCESS.get().is_none()
            && let Some(lines) = Self::to(io::stderr())
        {
            // Err: another thread was faster, whose lines are the process's.
            let _ = OF_PROCESS.set(lines);
        }
        OF_PROCESS.get()
    }

    /// Which lines are held back because they repeat.
    pub(crate) fn repeats(&self) -> Arc<Repeats> {
        self.repeats.clone()
    }

    /// Waits until everything has been written, or for `bound`; whether it has.
    pub(crate) fn flush(&self, bound: Duration) -> bool {
        self.repeats.tell();
        let (done, written) = sync_channel(1);
        self.jobs.send(Job::Flush(done)).is_ok() && written.recv_timeout(bound).is_ok()
    }

    fn push(&self, line: &[u8]) {
        let before = self.counts.waiting.fetch_add(line.len(), Ordering::Relaxed);
        if before + line.len() > MAX_WAITING || self.jobs.send(Job::Write(line.to_vec())).is_err() {
            self.counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted(&self) -> [(&'static str, u64); 4] {
        let Counts { written, lost, failed, .. } = &*self.counts;
        let [written, lost, failed] = [written, lost, failed].map(|count| count.load(Ordering::Relaxed));
        [("written", written), ("lost", lost), ("failed", failed), ("held_back", self.repeats.all_held())]
    }
}

/// Does `jobs`, for as long as somebody can send one.
fn write(jobs: &Receiver<Job>, mut out: impl Write, counts: &Counts, repeats: &Repeats) {
    let mut told = 0;
    loop {
        let job = if repeats.is_any_held() {
            jobs.recv_timeout(repeats::WINDOW)
        } else {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match job {
            Ok(Job::Write(line)) => {
                let written = out.write_all(&line);
                counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                let count = if written.is_ok() { &counts.written } else { &counts.failed };
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Job::Flush(done)) => {
                // Err of both: nobody reads, or nobody waits any more.
                let _ = out.flush();
                let _ = done.send(());
            }
            Ok(Job::Held) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        repeats.tell_in_time();
        let lost = counts.lost.load(Ordering::Relaxed);
        // It takes room itself, which must be there.
        if lost > told && counts.waiting.load(Ordering::Relaxed) < MAX_WAITING / 2 {
            tracing::warn!(lines = lost - told, "lines of the log were lost: standard error wasn't read in time");
            told = lost;
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// Each write is a whole line, as tracing's layer makes it.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Adds the metric that counts them.
pub(crate) fn observe() {
    opentelemetry::global::meter("selvage.telemetry")
        .u64_observable_counter("selvage.telemetry.lines")
        .with_unit("{line}")
        .with_description(
            "Lines of the log by what became of them: written, lost for want of room, failed, or held back as repetitions.",
        )
        .with_callback(|instrument| {
            for (outcome, count) in OF_PROCESS.get().map(Lines::counted).into_iter().flatten() {
                instrument.observe(count, &[KeyValue::new("outcome", outcome)]);
            }
        })
        .build();
}

/// Waits until the log has been written as far as it goes, or for `bound`.
pub fn flush(bound: Duration) {
    if let Some(lines) = OF_PROCESS.get() {
        lines.flush(bound);
    }
}

/// Writes `text` after the log's lines, and waits at most `bound` for it: the last words of a process, which must end
/// whether or not somebody reads them.
pub fn last_words(text: &str, bound: Duration) {
    if let Some(lines) = Lines::of_process() {
        lines.push(text.as_bytes());
        lines.flush(bound);
    }
}

/// Lets panics speak in the log from now on, where the usual way writes to standard error itself and may wait there for ever.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let at = panic.location().map(ToString::to_string);
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace =
            (backtrace.status() == std::backtrace::BacktraceStatus::Captured).then(|| backtrace.to_string());
        let message = panic.payload_as_str().unwrap_or("without words");
        tracing::error!(panic = message, at, thread = thread.name(), backtrace, "a thread panicked");
        // The main thread's panic may be the process's end.
        if thread.name() == Some("main") {
            flush(Duration::from_millis(100));
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn who_logs_does_not_wait_for_a_pipe_that_nobody_reads_and_what_is_lost_is_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let lines = Lines::to(writer).unwrap();
        // Four times what the queue holds; this returns, though nobody reads a byte.
        let all = 4 * MAX_WAITING as u64 / 1024;
        for number in 0..all {
            (&lines).write_all(format!("{number:01023}\n").as_bytes()).unwrap();
        }
        assert!(!lines.flush(Duration::from_millis(50)), "nothing has been read");
        let [(_, written), (_, lost), ..] = lines.counted();
        assert!(written < 100 && lost > 2_000, "{:?}", lines.counted());
        // Then somebody reads, and what waited is there.
        std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
        assert!(lines.flush(LONG));
        let [(_, written), (_, lost_at_last), ..] = lines.counted();
        assert_eq!((written + lost, lost_at_last), (all, lost));
    }

    #[test]
    fn a_closed_standard_error_is_no_reason_to_stop() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let lines = Lines::to(writer).unwrap();
        for _ in 0..3 {
            (&lines).write_all(b"a line\n").unwrap();
        }
        assert!(lines.flush(LONG));
        assert_eq!(lines.counted()[2], ("failed", 3));
    }
}
