//! How many files the process may have open, of which each connection is one.

use anyhow::ensure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Bounds;

/// More than this many are of no use: listeners take some thousands of connections at the most.
const ENOUGH: u64 = 65_536;
/// What the process needs beside the connections of its clients: 16 for itself (standard streams, clocks, listeners), 16
/// for probes and Prometheus, and 32 for its databases and the services that it calls.
const OWN: u64 = 64;

/// The limit of open files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files(u64);

impl Files {
    /// Raises the limit as far as the process may, and says what it is then.
    pub(crate) fn raised() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        // `None` is no limit.
        let (current, most) = (current.unwrap_or(ENOUGH), maximum.unwrap_or(ENOUGH).min(ENOUGH));
        if current >= most {
            return Self(current);
        }
        match setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum }) {
            Ok(()) => Self(most),
            Err(error) => {
                tracing::warn!(%error, current, most, "the limit of open files can't be raised");
                Self(current)
            }
        }
    }

    /// The bounds of a listener that takes `wanted` connections unless told otherwise, and a `part`th of all files at the
    /// most, so that enough are left for the process's own.
    pub(crate) fn share(self, part: u64, wanted: usize) -> Bounds {
        let share = usize::try_from((self.0 / part).max(1)).unwrap_or(usize::MAX);
        if share < wanted {
            tracing::warn!(
                files = self.0,
                connections = share,
                wanted,
                "the limit of open files is low, and fewer connections are taken: raise it by 'ulimit -n', LimitNOFILE= or \
                 the container's settings"
            );
        }
        Bounds { at_once: wanted.min(share), of_one_peer: None }
    }

    /// The bounds of the same listener where somebody said how many it takes.
    ///
    /// # Errors
    /// If too few files would be left.
    pub(crate) fn said(self, connections: usize) -> anyhow::Result<Bounds> {
        let most = self.0.saturating_sub(OWN);
        ensure!(
            connections as u64 <= most,
            "--max-connections is {connections}, but this process may open {} files, of which it needs {OWN} for itself: \
             at most {most} are left; raise the limit by 'ulimit -n', LimitNOFILE= or the container's settings",
            self.0
        );
        Ok(Bounds { at_once: connections, of_one_peer: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_the_process() {
        assert_eq!(Files(65_536).share(2, 1_024).at_once, 1_024);
        assert_eq!(Files(64).share(2, 1_024).at_once, 32);
        assert_eq!(Files(1_024).said(960).unwrap().at_once, 960);
        let error = Files(1_024).said(961).unwrap_err().to_string();
        assert!(error.contains("--max-connections is 961") && error.contains("ulimit -n"), "{error}");
        assert!(Files(64).said(1).is_err());
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        let Files(raised) = Files::raised();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current.unwrap_or(ENOUGH), raised);
        assert!(raised >= now.maximum.unwrap_or(ENOUGH).min(ENOUGH));
    }
}
