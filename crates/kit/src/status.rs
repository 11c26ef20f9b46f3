//! How a command ends, as the shell that started it sees it.

use std::process::ExitCode;

/// The exit statuses, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// 0: done, or the answer is yes.
    Done,
    /// 1: the answer is no: a check failed, a request was refused, a gateway could not go on.
    Failed,
    /// 2: the command line or the configuration is wrong.
    Usage,
    /// 3: it could not be tried: no gateway runs, a file or an address can not be had.
    Unavailable,
}

/// The same for people, at the end of every help text.
pub(crate) const EXIT_STATUS: &str = "\
Exit status:
  0  done, or the answer is yes
  1  the answer is no: a check failed, a request was refused, a gateway could not go on
  2  the command line or the configuration is wrong
  3  it could not be tried: no gateway runs, or a file or an address can not be had";

impl Status {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unavailable => 3,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        status.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_status() {
        for status in [Status::Done, Status::Failed, Status::Usage, Status::Unavailable] {
            assert!(EXIT_STATUS.contains(&format!("\n  {}  ", status.code())), "{status:?}");
        }
    }
}
