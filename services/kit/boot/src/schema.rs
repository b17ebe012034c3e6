//! What can be set of a process, for programs that read: made from the command line and from the pools' own tunings, so that
//! it says what they say. `selvage-cart schema` prints it; a chart makes its values of it.

use std::time::Duration;

use clap::builder::ValueRange;
use clap::{Arg, Command};
use serde::Serialize;
use serde_json::Value;

use crate::{Process, command_line, ending};

/// Everything that can be set of a process.
#[derive(Clone, Debug, Serialize)]
pub struct Schema {
    /// Its name: "selvage-cart".
    pub process: &'static str,
    /// What it is.
    pub about: &'static str,
    /// The version that this is about.
    pub version: &'static str,
    /// The options of `serve`.
    pub options: Vec<Setting>,
    /// Its pools, the main one first, and what a file of tunings can set of each.
    pub pools: Vec<Pool>,
    /// How long it takes to end.
    pub ending: Ending,
}

/// A pool of a service.
#[derive(Clone, Debug, Serialize)]
pub struct Pool {
    /// Its name, which is that of its table in the file.
    pub name: &'static str,
    /// What the file can set.
    pub settings: Vec<Setting>,
}

/// One thing that can be set.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Its name: that of the option without `--`, or of the key in a file.
    pub name: String,
    /// The environment variable that sets it too.
    pub variable: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What a number counts.
    pub unit: Option<&'static str>,
    /// What it is unless it is set; `null` for nothing, or for what the help says.
    pub default: Value,
    /// The least, of a number.
    pub minimum: Option<i128>,
    /// The most, of a number.
    pub maximum: Option<i128>,
    /// The values that there are, where there is a list of them.
    pub values: Vec<String>,
    /// Whether the process doesn't start without it.
    pub required: bool,
    /// Whether it bears a password, and belongs into a Secret.
    pub secret: bool,
    /// What it does.
    pub help: String,
}

/// A setting's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// An IP address and a port, to listen on.
    Listener,
    /// A host's name or address and a port, to call.
    Target,
    /// A whole number with its unit: 500ms, 8s, 10m, 6h.
    Time,
    /// A file or a folder.
    Path,
    /// An address with a scheme.
    Url,
    /// One of [`Setting::values`].
    Enumeration,
    /// Any other text.
    Text,
}

/// The parts of a process's end, as in [`ending`]; in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Ending {
    /// The longest lame-duck pause that can be set.
    pub lame_duck_max_ms: u64,
    /// For calls and background work after the pause.
    pub drain_ms: u64,
    /// For pools to close.
    pub close_ms: u64,
    /// For the last telemetry to be sent.
    pub flush_ms: u64,
    /// What a supervisor should grant beyond the sum of the pause and these parts, for a machine that is busy.
    pub spare_ms: u64,
}

impl Ending {
    fn ours() -> Self {
        let ms = |part: Duration| u64::try_from(part.as_millis()).unwrap_or(u64::MAX);
        Self {
            lame_duck_max_ms: *ending::LAME_DUCK_MS.end(),
            drain_ms: ms(ending::DRAIN),
            close_ms: ms(ending::CLOSE),
            flush_ms: ms(ending::FLUSH),
            spare_ms: ms(ending::SPARE),
        }
    }
}

impl Schema {
    /// That of a process.
    pub fn of<P: Process>() -> Self {
        let command = command_line::<P>();
        let serve = command.find_subcommand("serve").unwrap_or(&command);
        let mut schema = Self {
            process: P::NAME,
            about: P::ABOUT,
            version: env!("CARGO_PKG_VERSION"),
            options: serve.get_arguments().filter_map(setting).collect(),
            pools: Vec::new(),
            ending: Ending::ours(),
        };
        P::describe(&mut schema);
        schema
    }

    /// As JSON, for people too.
    ///
    /// # Errors
    /// None that a build can produce.
    pub fn to_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// What an argument's value stands for, by the name that the help gives it.
const VALUES: [(&str, Kind, Option<&str>); 17] = [
    ("ADDR", Kind::Listener, None),
    ("HOST:PORT", Kind::Target, None),
    ("FILE", Kind::Path, None),
    ("DIR", Kind::Path, None),
    ("URL", Kind::Url, None),
    ("TIME", Kind::Time, None),
    ("THREADS", Kind::Integer, Some("threads")),
    ("MS", Kind::Integer, Some("milliseconds")),
    ("SECONDS", Kind::Integer, Some("seconds")),
    ("DAYS", Kind::Integer, Some("days")),
    ("CONNECTIONS", Kind::Integer, Some("connections")),
    ("AMOUNT", Kind::Integer, Some("minor units of the currency")),
    ("CODE", Kind::Text, None),
    ("NAME", Kind::Text, None),
    ("SENDER", Kind::Text, None),
    ("POLICY", Kind::Enumeration, None),
    ("WHO", Kind::Enumeration, None),
];

/// What the command line knows of an option; `None` for what asks for help.
fn setting(arg: &Arg) -> Option<Setting> {
    let name = arg.get_long().filter(|name| !["help", "version"].contains(name))?;
    let placeholder = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    let takes_value =
        arg.get_num_args().is_none_or(|range| range != ValueRange::EMPTY) && arg.get_action().takes_values();
    let (kind, unit) = match VALUES.iter().find(|(known, ..)| *known == placeholder) {
        _ if !takes_value => (Kind::Boolean, None),
        Some((_, kind, unit)) => (*kind, *unit),
        None => (Kind::Text, None),
    };
    let default = arg.get_default_values().first().and_then(|value| value.to_str());
    let bounds = if kind == Kind::Integer { bounds(arg, default) } else { None };
    let default = match (kind, default) {
        (Kind::Boolean, _) => Value::Bool(false),
        (Kind::Integer, Some(text)) => text.parse::<i64>().map_or(Value::Null, Value::from),
        (_, text) => text.map_or(Value::Null, Value::from),
    };
    let values = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    Some(Setting {
        name: name.to_owned(),
        variable: arg.get_env().and_then(|name| name.to_str()).map(ToOwned::to_owned),
        kind,
        unit,
        default,
        minimum: bounds.map(|(least, _)| least),
        maximum: bounds.map(|(_, most)| most),
        values: if kind == Kind::Enumeration { values } else { Vec::new() },
        required: arg.is_required_set(),
        secret: arg.is_hide_env_values_set(),
        help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
    })
}

/// The least and the greatest number that an argument takes. clap doesn't tell them; the argument itself is asked, so this
/// is what it does and not what somebody says of it. `None` if it takes no number that is tried.
fn bounds(arg: &Arg, default: Option<&str>) -> Option<(i128, i128)> {
    // Beyond what any of the types takes that are used for numbers.
    const BEYOND: i128 = 1 << 64;
    let alone = arg.clone().required(false).env(None::<&str>).default_value(None::<&str>);
    let command = Command::new("bounds").no_binary_name(true).arg(alone);
    let name = arg.get_long()?;
    let takes = |number: i128| command.clone().try_get_matches_from([format!("--{name}={number}")]).is_ok();
    let tried = default.and_then(|text| text.parse().ok()).into_iter().chain([1, 0, 10, 100, 1_000, 10_000, 100_000]);
    let taken = tried.into_iter().find(|number| takes(*number))?;
    // What is taken is one range: between what is and what isn't lies its end.
    let end = |mut outside: i128| {
        let mut inside = taken;
        while (outside - inside).abs() > 1 {
            let middle = inside + (outside - inside) / 2;
            *(if takes(middle) { &mut inside } else { &mut outside }) = middle;
        }
        inside
    };
    Some((end(-BEYOND), end(BEYOND)))
}
