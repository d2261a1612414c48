//! Logs of the server, on stderr.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::{
    commands::serve::options::{LogFormat, OptionArgs},
    error::Label,
    output,
};

/// Who reads the logs, which decides what is logged unless the user says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    Developer,
    Operator,
}

/// Starts to log.
pub(super) fn start(options: &OptionArgs, audience: Audience) {
    let default = match audience {
        Audience::Developer => "warn",
        Audience::Operator => "info",
    };
    let wanted = options.log_level.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|error| {
        output::print_line(
            Label::Warning,
            &format!("log level `{wanted}`: {error}; using {default}"),
        );
        EnvFilter::new(default)
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match options.log_format {
        LogFormat::Text => builder.with_ansi(output::colors_on_stderr()).init(),
        LogFormat::Json => builder.json().init(),
    }
}
