//! The data folder: databases, keys, mails. Its owner alone can look into it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use selvage_boot::{Database, KeyFolder};
use selvage_holders::HOLDERS;

/// Held by who makes a database, so that two that do it at once don't undo each other's.
const LOCK: &str = ".lock";

/// Bytes without which nothing can be stored: of each database SQLite keeps an index of 32 KiB beside its log.
const PROBE: usize = 64 << 10;

/// A folder that belongs to one shop.
pub(crate) struct DataFolder(PathBuf);

impl DataFolder {
    /// Opens it, and makes it if it isn't there. What everybody could read is closed to all but its owner; what was opened
    /// to a group alone, to keep backups for example, stays so.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        make_folder(path).with_context(|| {
            format!("the data folder {} can't be made; choose another with --data DIR", path.display())
        })?;
        // Found out now, in words, rather than by the first order. An empty file finds room on a full disk too.
        let probe = path.join(".writable");
        let written = fs::write(&probe, [0; PROBE]);
        // Whatever part of it found room is taken away again.
        written.and(fs::remove_file(&probe)).with_context(|| {
            format!(
                "the data folder {} can't be written to; make it writable, free some space, or choose another with --data DIR",
                path.display()
            )
        })?;
        let folder = Self(path.to_owned());
        for folder in [path, folder.mails().as_path()] {
            close_to_others(folder).with_context(|| {
                format!(
                    "{0} can be read by every user, and can't be closed to them: `chmod -R o= {0}` as its owner",
                    folder.display()
                )
            })?;
        }
        Ok(folder)
    }

    /// One service's database, whose schema `migrate` brings up to date. Where there is none it is made, whole, or not at all.
    ///
    /// # Errors
    /// If its file is empty, which no database of ours ever is; or as `migrate` says.
    pub(crate) async fn database(
        &self,
        service: &str,
        migrate: impl AsyncFn(&Database) -> anyhow::Result<usize>,
    ) -> anyhow::Result<Database> {
        let path = self.0.join(format!("{service}.db"));
        match fs::metadata(&path) {
            Ok(data) => ensure!(
                data.len() > 0,
                "{0} is empty: it was truncated, and what the shop knew is gone with it. Restore it from a backup; or, if \
                 nothing of it is missed, remove {0}, and the shop begins with an empty one",
                path.display()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => make(&path, &migrate).await?,
            Err(error) => return Err(error).with_context(|| format!("{} can't be looked at", path.display())),
        }
        let database = at(&path);
        migrate(&database).await?;
        Ok(database)
    }

    /// Says which of the databases of `services` aren't there while others are: that is so after a first start that was
    /// broken off, and after a loss.
    pub(crate) fn tell_missing(&self, services: &[&str]) {
        let is_there = |service: &&str| self.0.join(format!("{service}.db")).exists();
        let (there, missing): (Vec<_>, Vec<_>) = services.iter().copied().partition(is_there);
        if !there.is_empty() && !missing.is_empty() {
            tracing::warn!(
                folder = %self.0.display(),
                missing = missing.join(", "),
                there = there.join(", "),
                "some databases of the shop aren't there, and are made anew, empty: restore them if they were lost"
            );
        }
    }

    /// Where the index of products is kept; it is made anew if it is missing.
    pub(crate) fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    pub(crate) fn mails(&self) -> PathBuf {
        self.0.join("mail")
    }

    /// The shop's keys; those that are missing are made.
    pub(crate) fn make_keys(&self) -> anyhow::Result<KeyFolder> {
        KeyFolder::make(&keys_in(&self.0), &HOLDERS)
    }
}

/// Where a shop's keys are in its data folder.
pub(crate) fn keys_in(data: &Path) -> PathBuf {
    data.join("keys")
}

fn at(path: &Path) -> Database {
    Database::at(format!("sqlite://{}", path.display()))
}

/// Makes a database beside its place and puts it there when it is whole, so that an empty file is never one of ours.
async fn make(path: &Path, migrate: impl AsyncFn(&Database) -> anyhow::Result<usize>) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // A shop and an import may be started at once.
    let _alone = lock(&folder.join(LOCK)).with_context(|| format!("{} can't be locked", folder.display()))?;
    if path.exists() {
        return Ok(());
    }
    let part = path.with_extension("db.part");
    // Of a start that was broken off, with the files that SQLite has beside it.
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut left = part.clone().into_os_string();
        left.push(ending);
        let left = PathBuf::from(left);
        if let Err(error) = fs::remove_file(&left)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("{} can't be removed", left.display()));
        }
    }
    // Who has migrated has closed it again, and with that put everything into the one file.
    migrate(&at(&part)).await?;
    fs::rename(&part, path)
        .and_then(|()| File::open(folder)?.sync_all())
        .with_context(|| format!("{} can't be made", path.display()))
}

/// Waits until nobody else makes databases in this folder; dropping it lets others.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

/// A folder that only its owner can look into.
fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Takes from everybody but the owner what everybody has of a folder, and of the files in it.
fn close_to_others(folder: &Path) -> io::Result<()> {
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // The folder first: from then on nobody else can open what is in it.
    let files = files.map(|file| file.map(|file| file.path()));
    for path in std::iter::once(Ok(folder.to_owned())).chain(files) {
        let path = path?;
        let data = match fs::symlink_metadata(&path) {
            Ok(data) => data,
            // Somebody else's, and gone meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mode = data.permissions().mode();
        let is_ours_to_close = data.is_file() || path == folder;
        if is_ours_to_close && mode & 0o007 != 0 {
            fs::set_permissions(&path, Permissions::from_mode(mode & 0o700))?;
            tracing::info!(path = %path.display(), "could be read by every user, and is closed to them");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Migrator = selvage_cart::migration::Migrator;

    async fn migrated(database: &Database) -> anyhow::Result<usize> {
        database.migrate::<Migrator>().await
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn what_the_shop_keeps_is_its_owners_alone() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("data");
        let folder = DataFolder::open(&path).unwrap();
        folder.database("cart", migrated).await.unwrap();
        assert_eq!((mode(&path), mode(&path.join("cart.db"))), (0o700, 0o600));
        // As they were left by older versions, and by who made the folder by hand.
        fs::create_dir(folder.mails()).unwrap();
        let mail = folder.mails().join("a.eml");
        fs::write(&mail, "Dear Ada").unwrap();
        for (path, mode) in [(&path, 0o755), (&path.join("cart.db"), 0o644), (&folder.mails(), 0o755), (&mail, 0o644)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        DataFolder::open(&path).unwrap();
        assert_eq!((mode(&path), mode(&path.join("cart.db"))), (0o700, 0o600));
        assert_eq!((mode(&folder.mails()), mode(&mail)), (0o700, 0o600));
        // A group that somebody let in stays.
        fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        DataFolder::open(&path).unwrap();
        assert_eq!(mode(&path), 0o750);
    }

    #[tokio::test]
    async fn an_empty_database_is_refused_and_stays_as_it_is() {
        let outer = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(outer.path()).unwrap();
        let path = outer.path().join("cart.db");
        assert_eq!(migrated(&folder.database("cart", migrated).await.unwrap()).await.unwrap(), 0, "it is up to date");
        fs::write(&path, "").unwrap();
        let refused = folder.database("cart", migrated).await.err().unwrap().to_string();
        assert!(refused.contains("cart.db is empty") && refused.contains("backup"), "{refused}");
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        fs::remove_file(&path).unwrap();
        folder.database("cart", migrated).await.unwrap();
    }

    #[tokio::test]
    async fn a_database_whose_making_was_broken_off_is_made_again() {
        let outer = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(outer.path()).unwrap();
        let broken_off = async |database: &Database| {
            migrated(database).await?;
            anyhow::bail!("the power is gone")
        };
        folder.database("cart", broken_off).await.err().unwrap();
        let names = || -> Vec<_> {
            let files = fs::read_dir(outer.path()).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name != LOCK).collect()
        };
        assert_eq!(names(), ["cart.db.part"], "nothing stands at its place");
        fs::write(outer.path().join("cart.db.part-wal"), "half a page").unwrap();
        folder.database("cart", migrated).await.unwrap();
        assert_eq!(names(), ["cart.db"]);
    }
}
