//! How a command ends, as the shell that started it sees it.

use std::process::ExitCode;

/// The exit statuses, the same for every command but `check`.
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
    /// What `check` says of a gateway, which has statuses of its own.
    Check(CheckStatus),
}

/// The exit statuses of `check`: a verdict has more than two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckStatus {
    /// 0: the gateway is compatible.
    Compatible,
    /// 1: it is not.
    Incompatible,
    /// 2: it could not be told.
    Undetermined,
    /// 3: the command line is wrong, or this machine refuses what the check needs.
    Usage,
    /// 4: the gateway can not be reached.
    Unreachable,
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
            Self::Check(CheckStatus::Compatible) => 0,
            Self::Check(CheckStatus::Incompatible) => 1,
            Self::Check(CheckStatus::Undetermined) => 2,
            Self::Check(CheckStatus::Usage) => 3,
            Self::Check(CheckStatus::Unreachable) => 4,
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
