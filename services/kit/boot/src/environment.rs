//! How variables of the environment are read where they stand for options.

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command};

/// `command`, for which an empty variable is an unset one, as templates leave them behind, and for whose flags `1`, `yes` and
/// `on` are true, and `0`, `no` and `off` false.
pub(crate) fn sober(command: Command) -> Command {
    command.mut_args(sober_argument).mut_subcommands(sober)
}

fn sober_argument(argument: Arg) -> Arg {
    let Some(variable) = argument.get_env() else { return argument };
    if std::env::var_os(variable).is_some_and(|value| value.to_string_lossy().trim().is_empty()) {
        return argument.env(None::<&str>);
    }
    match argument.get_action() {
        ArgAction::SetTrue => argument.value_parser(BoolishValueParser::new()),
        _ => argument,
    }
}
