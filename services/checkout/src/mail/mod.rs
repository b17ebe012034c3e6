//! Mail to buyers.

mod folder;
mod smtp;
mod text;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::order::Order;

pub use folder::Folder;
pub use smtp::Smtp;
pub use text::Occasion;

/// Why a mail was not sent. Neither says to whom.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// It may be sent later.
    #[error("the mail can't be sent: {0}")]
    Later(String),
    /// It won't be taken however often it is tried.
    #[error("the mail is refused: {0}")]
    Refused(String),
}

/// A mail, in plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The same for the same order and occasion, so that a second copy can be told.
    pub id: String,
    /// Whose order it is about.
    pub order_id: Uuid,
    /// The receiver's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
}

impl Mail {
    /// What a buyer is written about an order.
    pub fn about(order: &Order, occasion: Occasion) -> Self {
        let (subject, body) = text::write(order, occasion);
        Self {
            id: format!("{}.{}@selvage", order.what.id, occasion.word()),
            order_id: order.what.id,
            to: order.what.email.clone(),
            subject,
            body,
        }
    }
}

/// Sends mail.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Sends one; a second time with the same id it may be sent again.
    async fn send(&self, mail: Mail) -> Result<(), MailError>;
}
