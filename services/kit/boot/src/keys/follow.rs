//! Keys that are read again when their files change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use selvage_context::clock::Clock;
use selvage_identity::{Issuer, IssuerKeys, KeyError, Verifier};

use super::file::{self, Looks, Mark, Next};
use super::{KeyFiles, parse_trusted_keys, read_issuer_keys, read_trusted_keys};
use crate::Life;

/// How often the files are looked at: a call of stat(2) each, some 2 µs. A change is in force within two looks.
const EVERY: Duration = Duration::from_secs(1);

/// The keys of a process, each from a file that is followed: whatever way it is changed (renamed over, written in place, a
/// link on its way swapped as Kubernetes does it for a Secret), what it says is in force within two seconds, without a restart.
/// A file that can't be read or understood changes nothing: what was in force stays, and a warning and the metric
/// `selvage.keys.stale` say so.
pub struct Keys {
    clock: Clock,
    files: Vec<Followed>,
}

/// Takes what a file says over.
type TakeOver = Box<dyn FnMut(&str) -> Result<(), KeyError> + Send>;

/// A file that is followed.
struct Followed {
    path: PathBuf,
    looks: Looks,
    take_over: TakeOver,
    stale: Arc<AtomicBool>,
}

impl Keys {
    /// None yet, for tokens by `clock`.
    pub fn new(clock: Clock) -> Self {
        Self { clock, files: Vec::new() }
    }

    /// The check of every call, by the list of trusted keys at `path`.
    ///
    /// # Errors
    /// Names the file, the line and what is wrong with it: to be mended before the process can start.
    pub fn verifier(&mut self, path: &Path) -> anyhow::Result<Verifier> {
        // Before the file is read: what is written meanwhile is a change.
        let mark = Mark::of(path);
        let keys = read_trusted_keys(path)?;
        let unlimited = keys.unlimited_services();
        if unlimited > 0 {
            tracing::warn!(
                file = %path.display(),
                keys = unlimited,
                "keys of services are trusted with every rpc that services may call: name behind each key those that it needs"
            );
        }
        let verifier = Verifier::new(keys, self.clock.clone());
        let of_all = verifier.clone();
        self.follow(path, mark, move |text| {
            of_all.replace_keys(parse_trusted_keys(text)?);
            Ok(())
        });
        Ok(verifier)
    }

    /// Who issues tokens with the first of the secret keys at `path`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it, never the key.
    pub fn issuer(&mut self, path: &Path) -> anyhow::Result<Issuer> {
        let mark = Mark::of(path);
        let issuer = Issuer::new(read_issuer_keys(path)?, self.clock.clone());
        let of_all = issuer.clone();
        self.follow(path, mark, move |text| {
            of_all.replace_keys(IssuerKeys::parse(text)?);
            Ok(())
        });
        Ok(issuer)
    }

    /// Both, as the options of a process name them.
    ///
    /// # Errors
    /// As [`Keys::verifier`] and [`Keys::issuer`].
    pub fn of_files(&mut self, files: &KeyFiles) -> anyhow::Result<(Verifier, Option<Issuer>)> {
        let issuer = files.issuer_key.as_deref().map(|path| self.issuer(path)).transpose()?;
        Ok((self.verifier(&files.trusted_keys)?, issuer))
    }

    fn follow(
        &mut self,
        path: &Path,
        mark: Mark,
        take_over: impl FnMut(&str) -> Result<(), KeyError> + Send + 'static,
    ) {
        self.files.push(Followed {
            path: path.to_owned(),
            looks: Looks::new(mark),
            take_over: Box::new(take_over),
            stale: Arc::default(),
        });
    }

    /// Follows the files until the end of `life`.
    pub fn run(mut self, life: &Life) {
        let reloads = observe(&self.files);
        let own = life.clone();
        life.spawn("keys", async move {
            while own.sleep(EVERY).await {
                for file in &mut self.files {
                    file.look(&reloads);
                }
            }
        });
    }
}

impl Followed {
    /// Reads it if it has changed. A key's file has a few hundred bytes and is read once a rotation, so neither that nor the
    /// look is worth a thread of its own.
    fn look(&mut self, reloads: &Counter<u64>) {
        let mark = Mark::of(&self.path);
        if self.looks.look(mark) == Next::Read {
            let read = file::read(&self.path);
            if Mark::of(&self.path) != mark {
                // Written while it was read: another look.
                return;
            }
            match read.and_then(|text| Ok((self.take_over)(&text)?)) {
                Ok(()) => {
                    self.looks.took(mark);
                    reloads.add(1, &outcome("ok"));
                    tracing::info!(file = %self.path.display(), "a key file has changed and is in force");
                }
                Err(error) => {
                    self.looks.refused(mark);
                    reloads.add(1, &outcome("refused"));
                    tracing::warn!(
                        file = %self.path.display(),
                        error = format!("{error:#}"),
                        "a key file has changed and can't be used: what it said before stays in force"
                    );
                }
            }
        }
        self.stale.store(self.looks.is_stale(), Ordering::Relaxed);
    }
}

fn outcome(outcome: &'static str) -> [KeyValue; 1] {
    [KeyValue::new("outcome", outcome)]
}

/// Lets it be observed which files say something else than what is in force, and how often files were read again.
fn observe(files: &[Followed]) -> Counter<u64> {
    let meter = opentelemetry::global::meter("selvage.keys");
    let named = |file: &Followed| {
        let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned());
        (KeyValue::new("file", name.unwrap_or_default()), file.stale.clone())
    };
    let stale: Vec<_> = files.iter().map(named).collect();
    meter
        .u64_observable_gauge("selvage.keys.stale")
        .with_unit("{file}")
        .with_description("1 while a key file can't be used and what it said before is in force, by the file's name.")
        .with_callback(move |instrument| {
            for (name, stale) in &stale {
                instrument.observe(stale.load(Ordering::Relaxed).into(), std::slice::from_ref(name));
            }
        })
        .build();
    let reloads = meter
        .u64_counter("selvage.keys.reloads")
        .with_unit("{reload}")
        .with_description("Key files that have changed and were read again, by whether they could be used.")
        .build();
    // So that the series are there before the first rotation.
    reloads.add(0, &outcome("ok"));
    reloads.add(0, &outcome("refused"));
    reloads
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(|file| &file.path).collect();
        f.debug_struct("Keys").field("files", &files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use selvage_identity::{IssuerKey, Role, ServiceToken, TrustedKeys};

    use super::*;

    const RPC: &str = "selvage.operations.v1.Operations/Watch";

    /// Keys of a process, whose files are looked at when a test says so.
    struct Process {
        folder: tempfile::TempDir,
        keys: Keys,
        verifier: Verifier,
        token: ServiceToken,
        reloads: Counter<u64>,
    }

    /// A secret key, and the list of those whom it trusts.
    fn pair() -> (String, String) {
        let key = IssuerKey::generate().unwrap();
        (key.secret_text(), TrustedKeys::line(&[Role::Service], &key, &[RPC]))
    }

    impl Process {
        /// Of files at these places below a folder.
        fn start(secret: &str, trusted: &str, prepare: impl FnOnce(&Path)) -> Self {
            let folder = tempfile::tempdir().unwrap();
            prepare(folder.path());
            let mut keys = Keys::new(Clock::standing_at(1_800_000_000_000));
            let verifier = keys.verifier(&folder.path().join(trusted)).unwrap();
            let token = ServiceToken::new(keys.issuer(&folder.path().join(secret)).unwrap(), "relay");
            let reloads = observe(&keys.files);
            Self { folder, keys, verifier, token, reloads }
        }

        /// Two looks, as there are within two seconds.
        fn looks(&mut self) {
            for _ in 0..2 {
                self.keys.files.iter_mut().for_each(|file| file.look(&self.reloads));
            }
        }

        fn stale(&self) -> Vec<bool> {
            self.keys.files.iter().map(|file| file.stale.load(Ordering::Relaxed)).collect()
        }
    }

    #[test]
    fn a_key_is_rotated_by_rename_and_by_writing_in_place() {
        let ((old, trusts_old), (new, trusts_new)) = (pair(), pair());
        let mut process = Process::start("own.key", "trusted.keys", |folder| {
            fs::write(folder.join("own.key"), &old).unwrap();
            fs::write(folder.join("trusted.keys"), &trusts_old).unwrap();
        });
        let at = |name: &str| process.folder.path().join(name);
        let (list, key, part) = (at("trusted.keys"), at("own.key"), at("part"));
        let before = process.token.get();
        assert!(process.verifier.verify(&before).is_ok());

        fs::write(&list, format!("{trusts_old}{trusts_new}")).unwrap();
        process.looks();
        fs::write(&part, &new).unwrap();
        fs::rename(&part, &key).unwrap();
        process.looks();
        let after = process.token.get();
        assert_ne!(before, after);
        assert!(process.verifier.verify(&before).is_ok() && process.verifier.verify(&after).is_ok());

        fs::write(&part, &trusts_new).unwrap();
        fs::rename(&part, &list).unwrap();
        process.looks();
        assert!(process.verifier.verify(&before).is_err() && process.verifier.verify(&after).is_ok());
        assert_eq!(process.stale(), [false, false]);
    }

    #[test]
    fn a_file_that_cant_be_used_changes_nothing_until_it_is_mended() {
        let ((old, trusts_old), (new, trusts_new)) = (pair(), pair());
        let mut process = Process::start("own.key", "trusted.keys", |folder| {
            fs::write(folder.join("own.key"), &old).unwrap();
            fs::write(folder.join("trusted.keys"), &trusts_old).unwrap();
        });
        let (list, key) = (process.folder.path().join("trusted.keys"), process.folder.path().join("own.key"));
        let torn = &trusts_new[..trusts_new.len() / 2];
        let unknown = trusts_new.replace(RPC, "selvage.operations.v1.Operations/Wach");
        for wrong in ["", torn, "wizard k4.public.x", &unknown, &"x".repeat(600 * 1024)] {
            fs::write(&list, wrong).unwrap();
            fs::write(&key, "k4.secret.torn").unwrap();
            process.looks();
            assert_eq!(process.stale(), [true, true], "{wrong:.80}");
            assert!(process.verifier.verify(&process.token.get()).is_ok(), "{wrong:.80}");
        }
        fs::remove_file(&list).unwrap();
        process.looks();
        assert!(process.stale()[0] && process.verifier.verify(&process.token.get()).is_ok());
        fs::write(&list, &trusts_new).unwrap();
        fs::write(&key, &new).unwrap();
        process.looks();
        assert_eq!(process.stale(), [false, false]);
        assert!(process.verifier.verify(&process.token.get()).is_ok(), "the new key's, by the new list");
    }

    /// As the kubelet renews a Secret: the files are links into `..data`, a link to a folder, which is swapped.
    #[test]
    fn a_secret_of_kubernetes_is_followed_through_its_links() {
        let ((old, trusts_old), (new, trusts_new)) = (pair(), pair());
        let version = |folder: &Path, name: &str, secret: &str, trusted: &str| {
            fs::create_dir(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("own.key"), secret).unwrap();
            fs::write(folder.join(name).join("trusted.keys"), trusted).unwrap();
        };
        let mut process = Process::start("own.key", "trusted.keys", |folder| {
            version(folder, "..2026_1", &old, &trusts_old);
            symlink("..2026_1", folder.join("..data")).unwrap();
            for name in ["own.key", "trusted.keys"] {
                symlink(format!("..data/{name}"), folder.join(name)).unwrap();
            }
        });
        let before = process.token.get();
        let folder = process.folder.path().to_owned();
        version(&folder, "..2026_2", &new, &trusts_new);
        symlink("..2026_2", folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        fs::remove_dir_all(folder.join("..2026_1")).unwrap();
        process.looks();
        let after = process.token.get();
        assert!(process.verifier.verify(&before).is_err() && process.verifier.verify(&after).is_ok());
    }
}
