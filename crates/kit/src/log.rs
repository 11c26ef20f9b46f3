//! The log: what a running gateway says about itself on standard error.

use anstream::{AutoStream, ColorChoice};
use std::io::IsTerminal;
use tollgate_config::document::{LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, Registry, filter::Targets, fmt, layer::SubscriberExt, registry, reload, util::SubscriberInitExt,
};

/// A log that was started.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    filter: reload::Handle<Targets, Registry>,
    form: Form,
}

/// How lines look, once `auto` is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Log {
    /// Sends the events of this process to standard error.
    pub(crate) fn start(format: LogFormat, level: LogLevel) -> Self {
        let form = Form::of(format);
        let (filter, handle) = reload::Layer::new(targets(level));
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = match form {
            Form::Json => lines.json().flatten_event(true).boxed(),
            Form::Pretty => {
                let colours = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
                lines.compact().with_ansi(colours).with_target(false).boxed()
            }
        };
        let subscriber = registry().with(lines.with_filter(filter));
        if subscriber.try_init().is_err() {
            // Only a second start in one process gets here; the first log goes on.
            tracing::debug!("the log was started twice");
        }
        Self { filter: handle, form }
    }

    /// How its lines look.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Changes the least important kind of line that is shown.
    pub(crate) fn set_level(&self, level: LogLevel) {
        if let Err(error) = self.filter.modify(|filter| *filter = targets(level)) {
            tracing::warn!(%error, "the level of the log stays as it was");
        }
    }
}

impl Form {
    fn of(format: LogFormat) -> Self {
        match format {
            LogFormat::Pretty => Self::Pretty,
            LogFormat::Json => Self::Json,
            LogFormat::Auto if std::io::stderr().is_terminal() => Self::Pretty,
            LogFormat::Auto => Self::Json,
        }
    }
}

/// Our own lines down to `level`. Libraries only warn: what they say below that is about bytes on the wire, and
/// credentials are among those.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("tollgate", level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn libraries_never_say_more_than_warnings() {
        let rows = [
            (LogLevel::Trace, "tollgate_gateway::relay", Level::TRACE, true),
            (LogLevel::Info, "tollgate::command::serve", Level::INFO, true),
            (LogLevel::Info, "tollgate_gateway", Level::DEBUG, false),
            (LogLevel::Trace, "h2::codec", Level::INFO, false),
            (LogLevel::Trace, "rustls", Level::WARN, true),
            (LogLevel::Error, "rustls", Level::WARN, false),
        ];
        for (level, target, of, shown) in rows {
            assert_eq!(targets(level).would_enable(target, &of), shown, "{target} {of} at {level:?}");
        }
    }
}
