//! The page on a terminal, drawn again as it changes.

use std::io::Write as _;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tonic::Code;

use super::ask::{Operator, Refused};
use super::top;

/// The operator decides each second: after this long without a word it is away.
const SILENCE: Duration = Duration::from_secs(5);
/// After which it is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// Of a terminal that doesn't say its size.
const USUAL: (u16, u16) = (120, 40);

const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

/// Draws until the program is ended, or the operator refuses for good. What fails before anything was shown is an error.
pub(super) async fn watch(operator: &Operator) -> anyhow::Result<()> {
    let mut lines: Vec<String> = Vec::new();
    loop {
        let why = match follow(operator, &mut lines).await {
            Ok(()) => "it ended the stream".to_owned(),
            Err(error) if lines.is_empty() || is_final(&error) => return Err(error),
            Err(error) => format!("{error}"),
        };
        draw(&lines, &format!("not live: {why}; trying again"))?;
        sleep(AGAIN).await;
    }
}

/// Draws what one stream says, to its end.
async fn follow(operator: &Operator, lines: &mut Vec<String>) -> anyhow::Result<()> {
    let mut stream = operator.watch().await?;
    loop {
        let said = timeout(SILENCE, stream.message()).await;
        let said = said.map_err(|_| anyhow::anyhow!("the operator has said nothing for {} s", SILENCE.as_secs()))?;
        let Some(said) = said.map_err(|status| operator.in_words(&status))? else { return Ok(()) };
        *lines = top::page(&said.budgets, said.omitted);
        draw(lines, "Ctrl-C ends this")?;
    }
}

/// Whether to ask again would change nothing.
fn is_final(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<Refused>().map(|refused| refused.code);
    matches!(code, Some(Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented))
}

fn draw(lines: &[String], foot: &str) -> std::io::Result<()> {
    let size = terminal_size::terminal_size().map_or(USUAL, |(width, height)| (width.0, height.0));
    let mut out = std::io::stdout().lock();
    write!(out, "{}", screen(lines, foot, size))?;
    out.flush()
}

/// What draws the lines over what was there before. Those that don't fit are left out, and their number is said.
pub(super) fn screen(lines: &[String], foot: &str, (width, height): (u16, u16)) -> String {
    let (width, height) = (usize::from(width.max(20)), usize::from(height.max(4)));
    // One for the foot.
    let room = height - 1;
    let cut = |line: &str| line.chars().take(width).collect::<String>();
    let fits = lines.len() <= room;
    let shown = if fits { lines.len() } else { room - 1 };
    let mut screen = HOME.to_owned();
    for line in &lines[..shown] {
        screen.push_str(&format!("{}{REST_OF_LINE}\r\n", cut(line)));
    }
    if !fits {
        let more = format!("… {} lines more: --once prints all", lines.len() - shown);
        screen.push_str(&format!("{}{REST_OF_LINE}\r\n", cut(&more)));
    }
    screen.push_str(&format!("{}{REST_OF_LINE}{REST_OF_SCREEN}", cut(&crate::terminal::clean(foot, width))));
    screen
}
