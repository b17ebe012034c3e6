use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::{Mail, MailError, Mailer};

/// A server that doesn't answer is tried again by the relay, so it needn't be waited for long.
const SMTP_TIMEOUT: Duration = Duration::from_secs(8);

/// Sends mails by SMTP.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: String,
}

impl Smtp {
    /// Sends by the server at `url` (smtps://user:password@host, or smtp://host:port?tls=required) in the name of
    /// `from`.
    ///
    /// # Errors
    /// If either isn't of its form.
    pub fn new(url: &str, from: &str) -> Result<Self, MailError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| MailError("the SMTP address must be like smtps://user:password@host".into()))?
            .timeout(Some(SMTP_TIMEOUT))
            .build();
        from.parse::<lettre::message::Mailbox>()
            .map_err(|_| MailError("the sender must be like 'Selvage <shop@example.org>'".into()))?;
        Ok(Self { transport, from: from.to_owned() })
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let message = message(&mail, &self.from)?;
        self.transport.send(message).await.map(drop).map_err(|error| MailError(error.to_string()))
    }
}

pub(super) fn message(mail: &Mail, from: &str) -> Result<Message, MailError> {
    let mailbox = |text: &str| text.parse().map_err(|_| MailError("an address isn't one".into()));
    Message::builder()
        .from(mailbox(from)?)
        .to(mailbox(&mail.to)?)
        .message_id(Some(format!("<{}>", mail.id)))
        .subject(&mail.subject)
        .header(ContentType::TEXT_PLAIN)
        .body(mail.body.clone())
        .map_err(|error| MailError(error.to_string()))
}
