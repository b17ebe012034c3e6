use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Mail, MailError, Mailer};

/// Writes mails into a folder, a file each: for a shop that is tried out. The same mail again overwrites its file.
pub struct Folder(PathBuf);

impl Folder {
    /// Mails go to `path`, which is made if it isn't there.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(path)?;
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
            std::fs::write(&part, message.formatted())?;
            // Renamed into place, so that nobody reads half a mail.
            std::fs::rename(&part, &path)
        };
        let later = |error: std::io::Error| MailError::Later(error.to_string());
        tokio::task::spawn_blocking(write).await.map_err(|error| later(error.into()))?.map_err(later)
    }
}
