use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Mail, MailError, Mailer};

/// Writes mails into a folder, a file each, which only their owner can read: for a shop that is tried out. The same mail again
/// overwrites its file.
pub struct Folder(PathBuf);

impl Folder {
    /// Mails go to `path`, which is made if it isn't there.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self(path.to_owned()))
    }
}

#[async_trait]
impl Mailer for Folder {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let message = super::smtp::message(&mail, "Selvage <shop@selvage.invalid>")?;
        let name = mail.id.split('@').next().unwrap_or(&mail.id);
        let (path, part) = (self.0.join(format!("{name}.eml")), self.0.join(format!(".{name}.part")));
        let write = move || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            file.write_all(&message.formatted())?;
            // Renamed into place, so that nobody reads half a mail.
            std::fs::rename(&part, &path)
        };
        let later = |error: std::io::Error| MailError::Later(error.to_string());
        tokio::task::spawn_blocking(write).await.map_err(|error| later(error.into()))?.map_err(later)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn only_their_owner_can_read_mails() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("mail");
        let mail = Mail {
            id: "m-1@selvage".to_owned(),
            order_id: Uuid::from_u128(1),
            to: "ada@example.org".to_owned(),
            subject: "Your order".to_owned(),
            body: "Dear Ada".to_owned(),
        };
        Folder::open(&path).unwrap().send(mail).await.unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("m-1.eml"))), (0o700, 0o600));
    }
}
