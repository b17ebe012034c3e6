use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::ContentType;
use lettre::transport::smtp::response::Category;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use selvage_context::deadline;
use selvage_outbox::DEFAULT_LEASE;
use tokio::time::Instant;

use super::{Mail, MailError, Mailer};

/// A server that doesn't answer is tried again by the relay, so it needn't be waited for long. A message has a third of
/// the relay's claim, 15 s ÷ 3 = 5 s; 1 s of that is for finding its order. With a shorter claim it is four fifths of what
/// is left.
const SMTP_TIMEOUT: Duration = Duration::from_secs(DEFAULT_LEASE.as_secs() / 3 - 1);
/// For one address of the server; a second one still has its turn.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);
/// For so long after the server was silent or away, mails fail at once. A round of the relay takes as long as its slowest
/// message: so rounds are slow for 4 s of 14 at the most, and money never waits long behind mails.
const LEFT_ALONE: Duration = Duration::from_secs(10);

/// Sends mails by SMTP.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: String,
    /// Until when the server is left alone.
    away_until: Mutex<Option<Instant>>,
}

impl Smtp {
    /// Sends by the server at `url` (smtps://user:password@host, or smtp://host:port?tls=required) in the name of
    /// `from`.
    ///
    /// # Errors
    /// If either isn't of its form.
    pub fn new(url: &str, from: &str) -> Result<Self, MailError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| MailError::Refused("the SMTP address must be like smtps://user:password@host".into()))?
            .timeout(Some(CONNECT_TIMEOUT))
            .build();
        from.parse::<lettre::message::Mailbox>()
            .map_err(|_| MailError::Refused("the sender must be like 'Selvage <shop@example.org>'".into()))?;
        Ok(Self { transport, from: from.to_owned(), away_until: Mutex::new(None) })
    }

    fn away_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let message = message(&mail, &self.from)?;
        if self.away_until().is_some_and(|until| Instant::now() < until) {
            return Err(MailError::Later("the server was away a moment ago".into()));
        }
        // lettre's own time-out is for connecting alone.
        let bound = deadline::remaining().map_or(SMTP_TIMEOUT, |left| SMTP_TIMEOUT.min(left * 4 / 5));
        let (answered, sent) = match tokio::time::timeout(bound, self.transport.send(message)).await {
            Ok(Ok(_)) => (true, Ok(())),
            Ok(Err(error)) => (error.status().is_some(), Err(failure(&error))),
            Err(_) => (false, Err(MailError::Later("the server is too slow".into()))),
        };
        if !answered {
            *self.away_until() = Some(Instant::now() + LEFT_ALONE);
        }
        sent
    }
}

/// What is said of a failure: its kind and code, for the server's own words have the receiver's address in them. The
/// codes 55x refuse this mail (RFC 5321, 4.2.1: x5z is the mail system); other refusals, of our password or our
/// commands, somebody can mend.
fn failure(error: &lettre::transport::smtp::Error) -> MailError {
    match error.status() {
        Some(code) if error.is_permanent() && code.category == Category::MailSystem => {
            MailError::Refused(format!("the server answered {code}"))
        }
        Some(code) => MailError::Later(format!("the server answered {code}")),
        None if error.is_timeout() => MailError::Later("the server is too slow".into()),
        None if error.is_tls() => MailError::Later("there is no TLS with the server".into()),
        None if error.is_response() => MailError::Later("the server's answer isn't SMTP".into()),
        None if error.is_client() => MailError::Later("the server can't do what the mail needs".into()),
        None => MailError::Later("the server can't be reached".into()),
    }
}

pub(super) fn message(mail: &Mail, from: &str) -> Result<Message, MailError> {
    let mailbox = |text: &str| text.parse().map_err(|_| MailError::Refused("an address isn't one".into()));
    Message::builder()
        .from(mailbox(from)?)
        .to(mailbox(&mail.to)?)
        .message_id(Some(format!("<{}>", mail.id)))
        .subject(&mail.subject)
        .header(ContentType::TEXT_PLAIN)
        .body(mail.body.clone())
        .map_err(|error| MailError::Refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;
    use uuid::Uuid;

    use super::*;

    fn mail() -> Mail {
        Mail {
            id: "1.confirmed@selvage".into(),
            order_id: Uuid::nil(),
            to: "ada@example.org".into(),
            subject: "Thank you".into(),
            body: "Hello".into(),
        }
    }

    fn smtp(listener: &TcpListener) -> Smtp {
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        Smtp::new(&url, "Selvage <shop@selvage.invalid>").unwrap()
    }

    /// What comes of a mail to a server that answers RCPT with `answer`.
    async fn sent(answer: &'static str) -> Result<(), MailError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let smtp = smtp(&listener);
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.split();
            let mut lines = BufReader::new(read).lines();
            write.write_all(b"220 here\r\n").await.unwrap();
            while let Ok(Some(line)) = lines.next_line().await {
                let verb = line.split([' ', ':']).next().unwrap_or_default();
                let answer = match verb {
                    "RCPT" => answer,
                    "DATA" => "354 go on",
                    "EHLO" | "MAIL" | "." | "RSET" | "NOOP" | "QUIT" => "250 well",
                    _ => continue,
                };
                if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                    break;
                }
            }
        });
        let sent = smtp.send(mail()).await;
        server.abort();
        sent
    }

    #[tokio::test]
    async fn a_refusal_is_told_by_its_code_and_never_by_the_receivers_address() {
        sent("250 well").await.unwrap();
        for (answer, code, for_good) in [
            ("550 5.1.1 <ada@example.org>: no such user", "550", true),
            ("553 5.1.3 <ada@example.org>: strange", "553", true),
            ("451 4.7.1 <ada@example.org>: greylisted", "451", false),
            ("530 5.7.0 <ada@example.org>: say who you are first", "530", false),
        ] {
            let error = sent(answer).await.unwrap_err();
            assert_eq!(matches!(error, MailError::Refused(_)), for_good, "{error:?}");
            let said = format!("{error} {error:?}");
            assert!(said.contains(code) && !said.contains("ada") && !said.contains("example.org"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_silent_server_is_given_up_before_the_relay_would_and_left_alone_for_a_while() {
        // It takes connections and never says a word.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for lease in [DEFAULT_LEASE, Duration::from_secs(3)] {
            let (smtp, bound) = (smtp(&listener), lease / 3);
            let send = || tokio::time::timeout(bound, deadline::scope(Instant::now() + bound, smtp.send(mail())));
            let first = send().await.expect("the relay would have given it up");
            assert!(matches!(first, Err(MailError::Later(_))), "{first:?}");
            let began = Instant::now();
            let second = send().await.unwrap();
            assert!(matches!(second, Err(MailError::Later(_))), "{second:?}");
            assert!(began.elapsed() < bound / 4, "{:?}", began.elapsed());
        }
    }
}
