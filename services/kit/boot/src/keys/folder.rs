//! Keys that are made: a folder with a secret key for each who signs, and the list of whom to trust with what.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use selvage_identity::{IssuerKey, IssuerKeys, Role, TrustedKeys};

use super::{read_issuer_keys, read_trusted_keys};

/// Who holds a key: what its tokens may be and, if it names any, the rpcs that they may call.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// Its name, and that of its file: `<name>.key`.
    pub name: &'static str,
    /// The roles that it may give.
    pub roles: &'static [Role],
    /// The rpcs that its tokens may call, each as `package.Service/Method`; all that its roles may, if there are none.
    pub rpcs: &'static [&'static str],
}

impl Holder {
    /// Its line in the list of those who are trusted, for its key.
    pub fn line(&self, key: &IssuerKey) -> String {
        TrustedKeys::line(self.roles, key, self.rpcs)
    }
}

const TRUSTED: &str = "trusted.keys";
/// What a list begins with that is made here.
pub const LIST_HEADER: &str =
    "# Who may sign tokens of which role, and call what with them; services read this list, again when it changes.\n";
/// Held by who makes keys, so that two that do it at once don't make two of a kind.
const LOCK: &str = ".lock";

/// Keys in a folder: `<holder>.key` for each who signs, and `trusted.keys` for all who check.
#[derive(Clone, Debug)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    /// Makes a key for each of `holders` who has none yet, and adds it to the list of those who are trusted. Nothing that is
    /// there is changed: keys and lines that others wrote stay, so that a rotation by hand isn't undone. Files are replaced
    /// whole: who reads meanwhile sees what was before or what is after.
    ///
    /// # Errors
    /// Names the file that can't be written or read, or the line of the list that is wrong.
    pub fn make(folder: &Path, holders: &[Holder]) -> anyhow::Result<Self> {
        let private = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        private.with_context(|| format!("the key folder {} can't be made", folder.display()))?;
        let keys = Self(folder.to_owned());
        if !keys.are_there(holders) {
            let _alone = lock(&folder.join(LOCK)).with_context(|| format!("{} can't be locked", folder.display()))?;
            keys.add(holders)?;
        }
        keys.trusted()?;
        Ok(keys)
    }

    fn are_there(&self, holders: &[Holder]) -> bool {
        self.trusted_file().exists() && holders.iter().all(|holder| self.file(holder.name).exists())
    }

    fn add(&self, holders: &[Holder]) -> anyhow::Result<()> {
        let path = self.trusted_file();
        let listed = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("{} can't be read", path.display())),
        };
        let (mut text, mut made) = (listed.clone().unwrap_or_else(|| LIST_HEADER.to_owned()), Vec::new());
        if !text.ends_with('\n') {
            text.push('\n');
        }
        for holder in holders {
            let file = self.file(holder.name);
            match file.exists() {
                // Its line was taken out by hand, or stands there.
                true if listed.is_some() => {}
                true => read_issuer_keys(&file)?.iter().for_each(|key| text.push_str(&holder.line(key))),
                false => {
                    let key = IssuerKey::generate()?;
                    text.push_str(&holder.line(&key));
                    made.push((file, key.secret_text() + "\n"));
                }
            }
        }
        // Trusted first: a key that nobody holds does no harm, and one that nobody trusts signs in vain.
        let files = [(path, text, PUBLIC)].into_iter().chain(made.into_iter().map(|(file, text)| (file, text, SECRET)));
        for (path, text, mode) in files {
            replace(&path, &text, mode).with_context(|| format!("{} can't be written", path.display()))?;
        }
        Ok(())
    }

    /// The keys in `folder`, which were made before.
    ///
    /// # Errors
    /// If it has none, in words that say how keys are made.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let keys = Self(folder.to_owned());
        let is_there = keys.trusted_file().exists();
        ensure!(is_there, "there are no keys in {}: `selvage keys {0}` makes them", folder.display());
        Ok(keys)
    }

    /// The file of a holder's key.
    pub fn file(&self, holder: &str) -> PathBuf {
        self.0.join(format!("{holder}.key"))
    }

    /// The file of those who are trusted.
    pub fn trusted_file(&self) -> PathBuf {
        self.0.join(TRUSTED)
    }

    /// Those who are trusted.
    ///
    /// # Errors
    /// Names the file that can't be read, or the line that is wrong with it.
    pub fn trusted(&self) -> anyhow::Result<TrustedKeys> {
        read_trusted_keys(&self.trusted_file())
    }

    /// The names of the holders in this folder whose key may sign tokens of `role`, in the order of the alphabet.
    ///
    /// # Errors
    /// Names the file that can't be read.
    pub fn who_may_sign(&self, role: Role) -> anyhow::Result<Vec<String>> {
        let trusted = self.trusted()?;
        let files = fs::read_dir(&self.0).with_context(|| format!("{} can't be read", self.0.display()))?;
        let mut holders = Vec::new();
        for file in files {
            let path = file?.path();
            let is_key = path.extension().is_some_and(|ending| ending == "key");
            if is_key && trusted.roles_of(read_issuer_keys(&path)?.first()).is_some_and(|roles| roles.contains(&role)) {
                holders.extend(path.file_stem().and_then(|stem| stem.to_str()).map(ToOwned::to_owned));
            }
        }
        holders.sort();
        Ok(holders)
    }

    /// The file of a key that may sign tokens of `role`: `holder`'s, or that of the only one who may.
    ///
    /// # Errors
    /// If there is none, or several and no holder was named: in words, with those who may.
    pub fn file_for(&self, role: Role, holder: Option<&str>) -> anyhow::Result<PathBuf> {
        let may = self.who_may_sign(role)?;
        let names = || if may.is_empty() { "nobody".to_owned() } else { may.join(", ") };
        let list = self.trusted_file();
        match (holder, may.as_slice()) {
            (Some(holder), _) if may.iter().any(|name| name == holder) => Ok(self.file(holder)),
            (Some(holder), _) => bail!(
                "the key of '{holder}' may not sign tokens of the role {role}: by {}, of the keys beside it these may: {}",
                list.display(),
                names()
            ),
            (None, [only]) => Ok(self.file(only)),
            (None, []) => bail!(
                "no key in {} may sign tokens of the role {role}: `selvage keys {0}` makes those that are missing",
                self.0.display()
            ),
            (None, _) => bail!("several keys may sign tokens of the role {role}: {}; say which", names()),
        }
    }

    /// The keys in it, of which the first signs.
    ///
    /// # Errors
    /// As [`KeyFolder::file_for`], or names the file that can't be read.
    pub fn keys_for(&self, role: Role, holder: Option<&str>) -> anyhow::Result<IssuerKeys> {
        read_issuer_keys(&self.file_for(role, holder)?)
    }
}

/// Waits until nobody else has the lock; dropping it gives it back.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Rights of a new file: the list may be read by services that run as other users.
const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// Writes a file that is, for whoever reads it, what it was before or what it is after. One that is there keeps its rights.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&part)?;
    if let Ok(before) = fs::metadata(path) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(part, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    const RPC: &str = "selvage.operations.v1.Operations/Watch";
    const FIRST: Holder = Holder { name: "pages", roles: &[Role::Guest, Role::Customer], rpcs: &[] };
    const SECOND: Holder = Holder { name: "relay", roles: &[Role::Service], rpcs: &[RPC] };
    const THIRD: Holder = Holder { name: "other", roles: &[Role::Service], rpcs: &[] };

    fn list(keys: &KeyFolder) -> String {
        fs::read_to_string(keys.trusted_file()).unwrap()
    }

    #[test]
    fn keys_are_made_once_and_only_their_owner_can_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("keys");
        assert!(KeyFolder::open(&inside).unwrap_err().to_string().contains("selvage keys"));
        let keys = KeyFolder::make(&inside, &[FIRST, SECOND]).unwrap();
        let (before, secret) = (list(&keys), fs::read_to_string(keys.file("relay")).unwrap());
        assert!(before.contains(&format!(" {RPC}\n")) && before.contains("\nguest,customer k4.public."), "{before}");
        for name in ["pages", "relay"] {
            assert_eq!(fs::metadata(keys.file(name)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let again = KeyFolder::make(&inside, &[FIRST, SECOND]).unwrap();
        assert_eq!((list(&again), fs::read_to_string(again.file("relay")).unwrap()), (before, secret));
        assert_eq!(keys.who_may_sign(Role::Service).unwrap(), ["relay"]);
        assert_eq!(keys.file_for(Role::Customer, None).unwrap(), keys.file("pages"));
    }

    #[test]
    fn who_signs_is_the_one_who_may_or_who_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::make(folder.path(), &[FIRST, SECOND, THIRD]).unwrap();
        let refused = |role, holder| keys.file_for(role, holder).unwrap_err().to_string();
        assert!(refused(Role::Service, None).contains("other, relay"));
        assert!(refused(Role::Service, Some("pages")).contains("other, relay"));
        assert!(refused(Role::Admin, None).contains("selvage keys"));
        assert_eq!(keys.file_for(Role::Service, Some("relay")).unwrap(), keys.file("relay"));
    }

    #[test]
    fn a_rotation_by_hand_isnt_undone() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::make(folder.path(), &[FIRST, SECOND]).unwrap();
        // Somebody trusts a key that is held elsewhere, narrows one, and trusts another no more.
        let elsewhere = TrustedKeys::line(&[Role::Service], &IssuerKey::generate().unwrap(), &[]);
        let pages = read_issuer_keys(&keys.file("pages")).unwrap();
        let by_hand = format!("# by hand\n{elsewhere}guest {}", pages.first().public_text());
        fs::write(keys.trusted_file(), &by_hand).unwrap();
        KeyFolder::make(folder.path(), &[FIRST, SECOND]).unwrap();
        assert_eq!(list(&keys), by_hand);
        // Who is new is added behind it.
        KeyFolder::make(folder.path(), &[FIRST, SECOND, THIRD]).unwrap();
        let added = list(&keys);
        let rest = added.strip_prefix(&format!("{by_hand}\n")).expect("what was there stays");
        let other = read_issuer_keys(&keys.file("other")).unwrap();
        assert_eq!(rest, TrustedKeys::line(THIRD.roles, other.first(), THIRD.rpcs));
    }

    /// Written by the version before this one: no rpcs, no key for operations.
    #[test]
    fn a_folder_of_the_version_before_is_read_and_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let relay = IssuerKey::generate().unwrap();
        fs::write(folder.path().join("relay.key"), relay.secret_text() + "\n").unwrap();
        let list_before = format!("# Who may sign tokens.\nservice {}\n", relay.public_text());
        fs::write(folder.path().join(TRUSTED), &list_before).unwrap();
        let keys = KeyFolder::make(folder.path(), &[FIRST, SECOND]).unwrap();
        assert!(list(&keys).starts_with(&list_before));
        assert_eq!(keys.who_may_sign(Role::Service).unwrap(), ["relay"]);
        assert_eq!(keys.who_may_sign(Role::Guest).unwrap(), ["pages"]);
    }

    #[test]
    fn keys_that_are_made_at_once_are_made_once_and_nobody_reads_half_a_list() {
        for _ in 0..8 {
            let folder = tempfile::tempdir().unwrap();
            let start = Barrier::new(4);
            let make = || {
                start.wait();
                let keys = KeyFolder::make(folder.path(), &[FIRST, SECOND, THIRD]).unwrap();
                // Whoever looks right now finds all of it.
                assert_eq!(keys.who_may_sign(Role::Service).unwrap(), ["other", "relay"]);
                list(&keys)
            };
            let lists: Vec<_> = thread::scope(|scope| {
                let makers: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
                makers.into_iter().map(|maker| maker.join().unwrap()).collect()
            });
            assert!(lists.iter().all(|list| *list == lists[0] && list.lines().count() == 4), "{lists:?}");
        }
    }
}
