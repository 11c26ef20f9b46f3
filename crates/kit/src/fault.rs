//! Why a command could not do what it should: each fault with its sentence, its cure and its exit status.

use crate::{http::HttpFault, reconcile::ExportFault, status::Status};
use std::{io, net::SocketAddr, path::PathBuf};
use tollgate_config::Problem;
use tollgate_gateway::{ForceFault, SecretFault, StartFault};
use tollgate_policy::price::PriceProblem;
use tollgate_simulator::BadScript;

/// What kept a command from its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Standard output took nothing more.
    #[error("standard output can not be written: {0}")]
    Output(io::Error),
    /// The operating system gave no thread, no timer or no signal.
    #[error("the system refused what every server needs: {0}")]
    Runtime(io::Error),
    /// A file that the command line names can not be read.
    #[error("{} can not be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    /// A file that the command line names can not be written.
    #[error("{} can not be written: {cause}", path.display())]
    Unwritable { path: PathBuf, cause: io::Error },
    /// A folder for the demo can not be made.
    #[error("a folder for the demo can not be made: {0}")]
    Folder(io::Error),
    /// The configuration has problems.
    #[error("{}", problems(.0))]
    Configuration(Vec<Problem>),
    /// The gateway did not start.
    #[error("{0}")]
    Start(#[from] StartFault),
    /// The simulator can not listen.
    #[error("{address} can not be listened on: {cause}")]
    Listen { address: SocketAddr, cause: io::Error },
    /// A script of the simulator is wrong.
    #[error("{name}: {problem}")]
    Script { name: String, problem: BadScript },
    /// A variable that the command line names is not set.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// No gateway has this data folder.
    #[error("no gateway runs with the data folder {}", data.display())]
    NoInstance { data: PathBuf },
    /// The file about the running gateway can not be used.
    #[error("{} can not be used: {why}", path.display())]
    Instance { path: PathBuf, why: String },
    /// The gateway that the data folder names does not answer.
    #[error("the gateway at {admin} does not answer: {cause}")]
    Silent { admin: String, pid: Option<u32>, cause: HttpFault },
    /// The gateway said something that this command does not understand.
    #[error("the gateway at {admin} gave an answer that can not be read: {why}")]
    Strange { admin: String, why: String },
    /// The gateway refused what was asked.
    #[error("{message}")]
    Refused { status: u16, message: String },
    /// Something on the command line can not be meant.
    #[error("{what}: {rule}")]
    Unfit { what: &'static str, rule: String, cure: String },
    /// The journal can not be read.
    #[error("the journal can not be verified: {0}")]
    Journal(String),
    /// A price book is wrong.
    #[error("{name}: {problem}")]
    Prices { name: String, problem: PriceProblem },
    /// A text that should hold one usage record holds something else.
    #[error("{name}: {why}")]
    NotARecord { name: String, why: String },
    /// A provider's export can not be used.
    #[error("{0}")]
    Export(#[from] ExportFault),
    /// A file that should hold the public key of a journal holds something else.
    #[error("{0} holds no public key of a journal")]
    NotAPublicKey(String),
}

impl Fault {
    /// The exit status of a command that ended so.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Unreadable { .. }
            | Self::Configuration(_)
            | Self::Script { .. }
            | Self::Unset(_)
            | Self::Unfit { .. }
            | Self::Prices { .. }
            | Self::NotARecord { .. }
            | Self::Export(_)
            | Self::NotAPublicKey(_) => Status::Usage,
            Self::Start(fault) => match fault {
                StartFault::Force(_) => Status::Usage,
                StartFault::Store(_)
                | StartFault::Listen { .. }
                | StartFault::Instance { .. }
                | StartFault::Journal(_)
                | StartFault::Books(_) => Status::Unavailable,
            },
            Self::Refused { status, .. } => match status {
                400 => Status::Usage,
                401 | 500.. => Status::Unavailable,
                _ => Status::Failed,
            },
            Self::Output(_)
            | Self::Runtime(_)
            | Self::Unwritable { .. }
            | Self::Folder(_)
            | Self::Listen { .. }
            | Self::NoInstance { .. }
            | Self::Instance { .. }
            | Self::Silent { .. }
            | Self::Strange { .. }
            | Self::Journal(_) => Status::Unavailable,
        }
    }

    /// What to do about it, where the sentence itself does not say it.
    pub(crate) fn cure(&self) -> Option<String> {
        let cure = match self {
            Self::Start(fault) => return start_cure(fault),
            Self::Listen { cause, .. } => return Some(listen_cure(cause)),
            Self::Unset(name) => format!("export it, as in `export {name}=...`, or leave the option out."),
            Self::NoInstance { data } => format!(
                "start one with `tollgate serve --data {}`, or name the folder of the one that runs with --data \
                 or TOLLGATE_DATA.",
                data.display()
            ),
            Self::Instance { .. } => {
                "run this as the user who runs the gateway; if that is you, start the gateway again."
                    .to_owned()
            }
            Self::Silent { pid: Some(pid), .. } => format!(
                "process {pid} wrote its address there and is gone or stuck: look at it, or start the gateway \
                 again."
            ),
            Self::Silent { pid: None, .. } => {
                "let --admin or TOLLGATE_ADMIN name the address of its admin API, as it says at its start."
                    .to_owned()
            }
            Self::Unfit { cure, .. } => cure.clone(),
            Self::Prices { .. } => {
                "repair it at that place. docs/guide/prices.md says what a price book may hold.".to_owned()
            }
            Self::NotARecord { .. } => {
                "give it one `settled` entry of the journal, or the answer of the API or its `usage` with --model."
                    .to_owned()
            }
            Self::Export(fault) => fault.cure().to_owned(),
            Self::Strange { .. } => "use the same version of tollgate for both.".to_owned(),
            Self::NotAPublicKey(_) => {
                "give it a copy of secrets/journal.pub in the data folder: one line, `ed25519 ...`."
                    .to_owned()
            }
            Self::Output(_)
            | Self::Runtime(_)
            | Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::Folder(_)
            | Self::Configuration(_)
            | Self::Script { .. }
            | Self::Refused { .. }
            | Self::Journal(_) => return None,
        };
        Some(cure)
    }
}

fn start_cure(fault: &StartFault) -> Option<String> {
    let cure = match fault {
        StartFault::Force(fault) => return force_cure(fault),
        StartFault::Listen { what: "admin.address", cause, .. } => {
            format!("{} --admin-listen and admin.address set it.", listen_cure(cause))
        }
        StartFault::Listen { cause, .. } => {
            format!("{} --listen and listen.address set it.", listen_cure(cause))
        }
        StartFault::Instance { .. } => {
            "make room on the disk, and let this user write the data folder.".to_owned()
        }
        StartFault::Journal(_) | StartFault::Books(_) => {
            "make room on the disk, and let this user write the data folder.".to_owned()
        }
        // The store's own sentences hold their cures.
        StartFault::Store(_) => return None,
    };
    Some(cure)
}

fn force_cure(fault: &ForceFault) -> Option<String> {
    let cure = match fault {
        ForceFault::Credential(SecretFault::Unset(name)) => format!(
            "give the gateway the API key that it presents to the upstream, either\n    \
             export {name}=sk-ant-...\n  or, in a file named by --config,\n    \
             upstream:\n      credential: file:/run/secrets/anthropic"
        ),
        ForceFault::Credential(_) | ForceFault::ProxySecret(_) => {
            "put the secret, and nothing else, where the reference points, readable by this user.".to_owned()
        }
        ForceFault::Proxy(_) => {
            "write http://HOST:PORT there, or set upstream.proxy: none to connect directly.".to_owned()
        }
        ForceFault::Dialer(_) => {
            "let upstream.ca_file name a PEM file of certificate authorities.".to_owned()
        }
        ForceFault::Prices { .. } => {
            "repair that file, or remove prices.file to use the price book that is built in.".to_owned()
        }
        ForceFault::Tls(_) => {
            "let listen.tls.cert and listen.tls.key name PEM files that belong together.".to_owned()
        }
    };
    Some(cure)
}

fn listen_cure(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "another program listens there: stop it, or choose another port.",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one.",
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address: choose another.",
        _ => "choose another address.",
    }
    .to_owned()
}

/// All problems, one after the other, and how many of them refuse the document.
fn problems(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let count = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
    let list: Vec<String> = problems.iter().map(Problem::to_string).collect();
    format!("the configuration has {count}\n{}", list.join("\n"))
}
