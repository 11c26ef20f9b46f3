//! What is wished of a gateway: the configuration file and what the command line says instead.

use crate::{fault::Fault, source::Source};
use clap::{Args, ValueEnum};
use std::path::Path;
use tollgate_config::{
    Address, Document, Snapshot, Url, compile_priced,
    document::{LogFormat, LogLevel},
    file::FilePath,
    load_priced, parse,
};
use tollgate_gateway::price_text;

/// What the command line says in place of the file. It holds over reloads.
#[derive(Debug, Args)]
pub(crate) struct Overrides {
    /// The address for clients, in place of listen.address.
    #[arg(long, value_name = "ADDR")]
    listen: Option<Address>,
    /// The address of the admin API, in place of admin.address.
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<Address>,
    /// The data folder, in place of data.
    #[arg(long, value_name = "DIR", env = "TOLLGATE_DATA", hide_env_values = true)]
    data: Option<FilePath>,
    /// The URL of the upstream, in place of upstream.url.
    #[arg(long, value_name = "URL")]
    upstream: Option<Url>,
    /// How lines of the log look, in place of log.format: pretty on a terminal and json elsewhere by default.
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<Format>,
    /// The least important kind of line that is shown, in place of log.level.
    #[arg(long, value_enum, value_name = "LEVEL")]
    log_level: Option<Level>,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Auto,
    Pretty,
    Json,
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// A configuration that may be put in force, and the text that it comes from.
#[derive(Debug)]
pub(crate) struct Wish {
    /// What the text is called.
    pub(crate) name: String,
    /// The text, as it was read.
    pub(crate) text: String,
    /// The configuration, as the command line adjusts it.
    pub(crate) snapshot: Snapshot,
}

impl Wish {
    /// Reads the file, or takes the defaults, and lets the command line have its way.
    ///
    /// The file must be good by itself, as it must be at each reload; the rules between several fields are then
    /// applied once more to what the command line makes of it.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreadable`], [`Fault::Configuration`].
    pub(crate) fn read(file: Option<&Path>, overrides: &Overrides) -> Result<Self, Fault> {
        let source = match file {
            Some(file) => Source::read(file)?,
            None => Source { name: "built-in defaults".to_owned(), text: Document::default().to_yaml() },
        };
        let Source { name, text } = source;
        load_priced(&text, &name, price_text).map_err(Fault::Configuration)?;
        let mut document = parse(&text, &name).map_err(Fault::Configuration)?;
        overrides.rewrite(&mut document);
        let snapshot = compile_priced(&document, price_text).map_err(Fault::Configuration)?;
        Ok(Self { name, text, snapshot })
    }
}

impl Overrides {
    /// Writes itself into a document.
    fn rewrite(&self, document: &mut Document) {
        set(&mut document.listen.address, self.listen);
        set(&mut document.admin.address, self.admin_listen);
        set(&mut document.data, self.data.clone());
        set(&mut document.upstream.url, self.upstream.clone());
        set(&mut document.log.format, self.log_format.map(Format::wish));
        set(&mut document.log.level, self.log_level.map(Level::wish));
    }

    /// The same for a snapshot that a reload has read: it keeps what the command line said at the start.
    pub(crate) fn adjust(&self, snapshot: &mut Snapshot) {
        set(&mut snapshot.listen.address, self.listen.map(Address::socket));
        set(&mut snapshot.admin, self.admin_listen.map(Address::socket));
        set(&mut snapshot.data, self.data.as_ref().map(|data| data.as_path().to_owned()));
        set(&mut snapshot.upstream.url, self.upstream.clone());
        set(&mut snapshot.log_format, self.log_format.map(Format::wish));
        set(&mut snapshot.log_level, self.log_level.map(Level::wish));
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl Format {
    fn wish(self) -> LogFormat {
        match self {
            Self::Auto => LogFormat::Auto,
            Self::Pretty => LogFormat::Pretty,
            Self::Json => LogFormat::Json,
        }
    }
}

impl Level {
    fn wish(self) -> LogLevel {
        match self {
            Self::Error => LogLevel::Error,
            Self::Warn => LogLevel::Warn,
            Self::Info => LogLevel::Info,
            Self::Debug => LogLevel::Debug,
            Self::Trace => LogLevel::Trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use tollgate_config::load;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        overrides: Overrides,
    }

    fn overrides(line: &[&str]) -> Overrides {
        Line::try_parse_from(["serve"].iter().chain(line)).unwrap().overrides
    }

    /// What a start and a reload make of the same line must be the same configuration, or each reload would ask for
    /// a restart.
    #[test]
    fn a_reload_keeps_what_the_command_line_said() {
        let rows: [&[&str]; 7] = [
            &[],
            &["--listen", "127.0.0.1:9001"],
            &["--admin-listen", "127.0.0.1:9002"],
            &["--data", "/tmp/elsewhere"],
            &["--upstream", "http://127.0.0.1:9003/base"],
            &["--log-format", "json"],
            &["--log-level", "debug"],
        ];
        for line in rows {
            let overrides = overrides(line);
            let started = Wish::read(None, &overrides).unwrap();
            let mut reloaded = load(&started.text, &started.name).unwrap();
            overrides.adjust(&mut reloaded);
            assert_eq!(started.snapshot, reloaded, "{line:?}");
            if !line.is_empty() {
                assert_ne!(
                    started.snapshot,
                    Wish::read(None, &super::tests::overrides(&[])).unwrap().snapshot
                );
            }
        }
    }

    #[test]
    fn the_command_line_is_held_to_the_rules_of_the_file() {
        let rows: [&[&str]; 3] = [
            &["--admin-listen", "0.0.0.0:8081"],
            &["--listen", "127.0.0.1:8081"],
            &["--upstream", "http://192.0.2.1"],
        ];
        for line in rows {
            let fault = Wish::read(None, &overrides(line)).unwrap_err();
            assert!(matches!(fault, Fault::Configuration(_)), "{line:?}: {fault}");
        }
    }
}
