//! The one voice of the command: answers on standard output, messages on standard error.

use crate::fault::Fault;
use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};
use tollgate_config::Problem;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();

/// How often what goes on without steps is drawn.
const TICK: Duration = Duration::from_millis(200);

/// How often a note about what takes long is drawn, and how often it is written as a line.
const NOTE: Duration = Duration::from_secs(1);
const NOTE_LINE: Duration = Duration::from_secs(30);

/// Speaks for a command. Colours are seen on terminals only (<https://no-color.org> is honoured).
#[derive(Debug)]
pub(crate) struct Printer {
    quiet: bool,
}

impl Printer {
    /// A quiet printer gives answers, warnings and faults, and no other message.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Whether only the answer itself is wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints what was asked for. A newline follows if the text does not end with one.
    ///
    /// # Errors
    ///
    /// [`Fault::Output`]. A reader that has seen enough and closed its end is none.
    pub(crate) fn answer(&self, text: &str) -> Result<(), Fault> {
        let mut out = anstream::stdout().lock();
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        match write!(out, "{text}{newline}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Fault::Output(error)),
            _ => Ok(()),
        }
    }

    /// Says what goes on.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            message(text);
        }
    }

    /// Says whether one thing of several is as it should be.
    pub(crate) fn verdict(&self, good: bool, text: &str) {
        if good {
            self.say(&format!("{GOOD}ok{GOOD:#}    {text}"));
        } else {
            message(&format!("{ERROR}wrong{ERROR:#} {text}"));
        }
    }

    /// Says what is probably not meant.
    pub(crate) fn warn(&self, text: &str) {
        message(&format!("{WARNING}warning:{WARNING:#} {text}"));
    }

    /// Shows a problem of a configuration, which says itself how grave it is.
    pub(crate) fn problem(&self, problem: &Problem) {
        message(&problem.to_string());
    }

    /// Says why the command could not do what it should, and what to do about it.
    pub(crate) fn fault(&self, fault: &Fault) {
        message(&format!("{ERROR}error:{ERROR:#} {fault}"));
        if let Some(cure) = fault.cure() {
            message(&format!("  cure: {cure}"));
        }
    }

    /// Shows on a terminal that something goes on, and for how long already, until it is finished.
    pub(crate) fn wait(&self, what: &'static str) -> Progress {
        let bar = (!self.quiet && io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
            bar.with_style(style).with_message(what)
        });
        Progress { bar, what, quiet: self.quiet, done: 0, steps: 0, noted_at: Instant::now() }
    }

    /// Shows how far something of so many steps is: a bar on a terminal, a few lines elsewhere.
    pub(crate) fn progress(&self, what: &'static str, steps: u64) -> Progress {
        let bar = (!self.quiet && io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{msg} {bar:40} {pos} of {len}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr())
                .with_style(style)
                .with_message(what)
        });
        Progress { bar, what, quiet: self.quiet, done: 0, steps, noted_at: Instant::now() }
    }
}

/// Something that goes on in steps.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    quiet: bool,
    done: u64,
    steps: u64,
    noted_at: Instant,
}

impl Progress {
    /// One more step is done.
    pub(crate) fn step(&mut self) {
        self.done += 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if !self.quiet && (self.done.is_multiple_of(20) || self.done == self.steps) => {
                message(&format!("{}: {} of {}", self.what, self.done, self.steps));
            }
            None => {}
        }
    }

    /// When a note is due.
    pub(crate) fn next_note(&self) -> Instant {
        self.noted_at + if self.bar.is_some() { NOTE } else { NOTE_LINE }
    }

    /// Says what is going on if a note is due: in place of the last one on a terminal, as a line elsewhere.
    pub(crate) fn note(&mut self, text: &str) {
        if Instant::now() < self.next_note() {
            return;
        }
        self.noted_at = Instant::now();
        match &self.bar {
            Some(bar) => bar.set_message(format!("{text}; {}", self.what)),
            None if !self.quiet => message(text),
            None => {}
        }
    }

    /// All is done; a bar leaves its line.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes a line to standard error. There is nobody left to tell if that fails.
fn message(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
