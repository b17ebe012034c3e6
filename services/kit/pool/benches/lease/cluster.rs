//! What all processes of a PostgreSQL server have computed, as Linux tells it.

use std::fs;
use std::path::PathBuf;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

/// Linux tells times in hundredths of a second, whatever the machine: see proc_pid_stat(5) and `getconf CLK_TCK`.
const TICK: f64 = 0.01;

/// A server on this machine.
pub(crate) struct Cluster {
    postmaster: u32,
}

impl Cluster {
    /// The one that `connection` leads to.
    pub(crate) async fn of(connection: &impl ConnectionTrait) -> Self {
        let asked = Statement::from_string(DbBackend::Postgres, "SELECT pg_backend_pid()");
        let row = connection.query_one_raw(asked).await.expect("an answer").expect("a row");
        let backend: i32 = row.try_get_by_index(0).expect("a number");
        let stat = Stat::read(u32::try_from(backend).unwrap()).expect("a server on this machine");
        Self { postmaster: stat.parent }
    }

    /// Its folder of programs.
    pub(crate) fn programs(&self) -> PathBuf {
        let server = fs::read_link(format!("/proc/{}/exe", self.postmaster)).expect("the server's program");
        server.parent().expect("a folder").to_owned()
    }

    /// Seconds of processor time so far, in the kernel and outside, of those that have ended too.
    pub(crate) fn computed(&self) -> f64 {
        let all = fs::read_dir("/proc").expect("Linux").flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let ticks = pids.filter_map(Stat::read).map(|stat| match stat {
            // Those that have ended are in the books of who started them.
            Stat { pid, own, ended, .. } if pid == self.postmaster => own + ended,
            Stat { parent, own, .. } if parent == self.postmaster => own,
            _ => 0,
        });
        ticks.sum::<u64>() as f64 * TICK
    }
}

struct Stat {
    pid: u32,
    parent: u32,
    own: u64,
    ended: u64,
}

impl Stat {
    /// What `/proc/PID/stat` says; nothing if the process is gone.
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in brackets, and may have blanks in it.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // `fields[0]` is the third field of the manual.
        let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let (own, ended) = (ticks(14)? + ticks(15)?, ticks(16)? + ticks(17)?);
        Some(Self { pid, parent: fields[1].parse().ok()?, own, ended })
    }
}
