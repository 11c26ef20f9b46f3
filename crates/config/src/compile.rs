//! Document to snapshot: the rules that one field alone cannot break.

use crate::{
    check::Reading,
    document::{self, Document, Verdict, Visibility},
    duration::Duration,
    file::FilePath,
    problem::Problem,
    size::Size,
    snapshot::{Books, Limits, Listen, Snapshot, Timeouts, TlsFiles, Upstream},
};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tollgate_policy::{
    allowance::{Allowance, Calendar},
    price::PriceBook,
};

mod allowances;
mod books;
mod client;
mod served;

pub use served::unserved;

/// Makes the snapshot of a document.
///
/// # Errors
///
/// Every rule that the document breaks, warnings among them. The problems have no place, because
/// a document does not know its text; [`crate::load`] adds it.
pub fn compile(document: &Document) -> Result<Snapshot, Vec<Problem>> {
    compile_priced(document, |_| None)
}

/// Like [`compile()`], and judges allowances by the price book that `prices.file` names, as [`crate::load_priced`] does.
///
/// # Errors
///
/// As [`compile()`].
pub fn compile_priced(
    document: &Document,
    read: impl FnOnce(&Path) -> Option<String>,
) -> Result<Snapshot, Vec<Problem>> {
    let reading = Reading::of(document.clone());
    let (snapshot, problems) = judge(&reading, read);
    if problems.iter().any(Problem::is_error) { Err(problems) } else { Ok(snapshot) }
}

/// The snapshot and every finding, in no order. A rule that reads a field whose value was
/// unreadable is not applied, since a default stands in for it.
///
/// `read` gives the text of the file that `prices.file` names; see [`Judge::prices`].
pub(crate) fn judge(
    reading: &Reading,
    read: impl FnOnce(&Path) -> Option<String>,
) -> (Snapshot, Vec<Problem>) {
    let document = &reading.document;
    let mut judge = Judge { reading, findings: Vec::new() };
    judge.listeners(document);
    judge.upstream(document);
    judge.access(&document.access);
    judge.models(document);
    judge.limits(&document.limits);
    judge.timeouts(&document.timeouts);
    let allowances = judge.allowances(document);
    if let Some(book) = judge.prices(document, read) {
        judge.served(&allowances, document, &book);
        judge.budgets_for_clients(&allowances, &book, &document.upstream.url.authority());
    }
    judge.unread_endpoints(&allowances, document);
    let mut snapshot = snapshot(document);
    snapshot.allowances = allowances.into_iter().map(|(_, allowance)| allowance).collect();
    snapshot.tags = judge.tags(document);
    snapshot.cost_centres = judge.cost_centres(document);
    snapshot.brakes = judge.brakes(document);
    snapshot.warnings.clone_from(&judge.findings);
    (snapshot, judge.findings)
}

/// One allowance at the root of a text, and every finding; its warnings go by list prices.
pub(crate) fn judge_allowance(
    reading: &Reading,
    wished: &document::Allowance,
    calendar: &Calendar,
) -> (Option<Allowance>, Vec<Problem>) {
    let mut judge = Judge { reading, findings: Vec::new() };
    let made = judge.allowance(wished, calendar, "").map(|made| (String::new(), made));
    // Which prices are in force where it is sent is known there alone.
    judge.budgets_for_clients(made.as_slice(), PriceBook::builtin(), "");
    (made.map(|(_, made)| made), judge.findings)
}

struct Judge<'r> {
    reading: &'r Reading,
    findings: Vec<Problem>,
}

impl Judge<'_> {
    fn access(&mut self, access: &document::Access) {
        if access.key_max_days > 0 && access.key_warn_days >= access.key_max_days {
            self.warning(
                "access.key_warn_days",
                &["access.key_max_days"],
                "keys are refused before anybody was warned",
                "set access.key_warn_days below access.key_max_days.",
            );
        }
    }

    fn listeners(&mut self, document: &Document) {
        let (listen, admin) = (document.listen.address.socket(), document.admin.address.socket());
        if collide(listen, admin) {
            self.error(
                "admin.address",
                &["listen.address"],
                "clients and administrators cannot share an address",
                "give the admin listener a port of its own.",
            );
        }
        if !admin.ip().is_loopback() && !document.admin.allow_remote {
            self.error(
                "admin.address",
                &["admin.allow_remote"],
                "other machines can reach the admin listener",
                "listen at 127.0.0.1, or put your own gate before it and set admin.allow_remote: true.",
            );
        }
        if !listen.ip().is_loopback() && document.listen.tls.is_none() {
            self.warning(
                "listen.address",
                &["listen.tls"],
                "other machines send their credentials and prompts here unencrypted",
                "set listen.tls, or listen at 127.0.0.1 behind something that ends TLS.",
            );
        }
    }

    fn upstream(&mut self, document: &Document) {
        let (upstream, url) = (&document.upstream, &document.upstream.url);
        let own = [document.listen.address.socket(), document.admin.address.socket()];
        if url.is_loopback() && own.iter().any(|own| own.port() == url.port()) {
            self.error(
                "upstream.url",
                &["listen.address", "admin.address"],
                "the gateway would call itself",
                "write the URL of the API, or let the gateway listen at another port.",
            );
        }
        if url.base_path().ends_with("/v1") {
            self.error(
                "upstream.url",
                &[],
                "the path of a request already begins with /v1",
                "remove /v1 from the end of the URL.",
            );
        }
        if !url.tls() && !url.is_loopback() {
            if upstream.allow_plaintext {
                self.warning(
                    "upstream.url",
                    &["upstream.allow_plaintext"],
                    "prompts, answers and the API key cross the network unencrypted",
                    "use https as soon as the upstream offers it.",
                );
            } else {
                self.error(
                    "upstream.url",
                    &["upstream.allow_plaintext"],
                    "prompts, answers and the API key would cross the network unencrypted",
                    "write https, or set upstream.allow_plaintext: true if the network is your own.",
                );
            }
        }
        if !url.tls() && upstream.http2 {
            self.error(
                "upstream.http2",
                &["upstream.url"],
                "HTTP/2 is agreed on inside TLS, and the URL is plain http",
                "remove http2, or write an https URL.",
            );
        }
        if !url.tls() && upstream.ca_file.is_some() {
            self.warning(
                "upstream.ca_file",
                &["upstream.url"],
                "a plain http URL needs no certificate authority",
                "remove ca_file, or write an https URL.",
            );
        }
    }

    fn models(&mut self, document: &Document) {
        let Some(models) = &document.models else {
            return;
        };
        if models.is_empty() {
            self.error(
                "models",
                &[],
                "the list of models is empty",
                "remove it to show the upstream's list, or name a model.",
            );
        }
        let mut seen = BTreeSet::new();
        for (index, model) in models.iter().enumerate() {
            let path = format!("models[{index}].id");
            if model.id.is_empty() || model.id.contains(|c: char| c.is_whitespace() || c.is_control()) {
                self.error(
                    &path,
                    &["models"],
                    "a model id is a text without spaces",
                    "write an id such as claude-sonnet-4-5.",
                );
            } else if !seen.insert(&model.id) {
                self.error(&path, &["models"], "the model is listed twice", "keep one of them.");
            }
        }
    }

    fn limits(&mut self, limits: &document::Limits) {
        let (api_body, gigabyte) = (Size::from_mb(32), Size::from_mb(1024));
        let ranges = [
            ("limits.body", limits.body, Size::from_kb(1), gigabyte),
            ("limits.head", limits.head, Size::from_kb(4), Size::from_mb(1)),
            ("limits.uri", limits.uri, Size::from_kb(1), Size::from_mb(1)),
            ("limits.buffered", limits.buffered, Size::from_mb(1), Size::LARGEST),
        ];
        for (path, size, least, most) in ranges {
            if size < least || size > most {
                let cure = format!("write a size from {least} to {most}.");
                self.error(path, &[], &format!("{size} is out of range"), &cure);
            }
        }
        if limits.uri > limits.head {
            self.error(
                "limits.uri",
                &["limits.head"],
                "the request target is part of the head and cannot be larger",
                "lower limits.uri, or raise limits.head.",
            );
        }
        if limits.body > limits.buffered {
            self.error(
                "limits.buffered",
                &["limits.body"],
                "not even one body of the largest size would fit",
                "raise limits.buffered, or lower limits.body.",
            );
        }
        if limits.body < api_body {
            self.warning(
                "limits.body",
                &[],
                "Claude Code sends bodies of up to 32MB, and long conversations would be refused",
                "write 32MB.",
            );
        }
    }

    fn timeouts(&mut self, timeouts: &document::Timeouts) {
        let positive = [
            ("timeouts.connect", timeouts.connect),
            ("timeouts.first_byte", timeouts.first_byte),
            ("timeouts.stream_idle", timeouts.stream_idle),
            ("timeouts.client_head", timeouts.client_head),
            ("timeouts.client_body", timeouts.client_body),
            ("timeouts.keep_alive", timeouts.keep_alive),
        ];
        for (path, duration) in positive {
            if duration.is_zero() {
                self.error(
                    path,
                    &[],
                    "nothing can be done in no time",
                    "write a longer duration, or remove the field.",
                );
            }
        }
        let patience = [
            (
                "timeouts.first_byte",
                timeouts.first_byte,
                370,
                "Claude Code waits 370s for the first byte of an answer",
            ),
            (
                "timeouts.stream_idle",
                timeouts.stream_idle,
                310,
                "Claude Code accepts 310s of silence inside a stream",
            ),
        ];
        for (path, duration, seconds, rule) in patience {
            let least = Duration::from_secs(seconds);
            if !duration.is_zero() && duration < least {
                let rule = format!("{rule}, and the gateway would give up before it");
                self.warning(path, &[], &rule, &format!("write at least {seconds}s."));
            }
        }
    }

    fn error(&mut self, path: &str, also: &[&str], rule: &str, cure: &str) {
        self.find(Problem::error(path, rule, cure), also);
    }

    fn warning(&mut self, path: &str, also: &[&str], rule: &str, cure: &str) {
        self.find(Problem::warning(path, rule, cure), also);
    }

    /// Keeps a finding unless a field that its rule reads, its own or one of `also`, is faulty.
    /// It stands where the first of these fields is that the text has.
    fn find(&mut self, mut problem: Problem, also: &[&str]) {
        let reads = || [problem.path.as_str()].into_iter().chain(also.iter().copied());
        let faulty =
            |read: &str| self.reading.faulty.iter().any(|path| within(read, path) || within(path, read));
        if !reads().any(faulty) {
            let place = reads().find_map(|path| self.reading.places.nearest(path));
            problem.place(place);
            self.findings.push(problem);
        }
    }
}

/// Whether `path` is `section` or lies in it. The empty path is the whole document.
fn within(path: &str, section: &str) -> bool {
    section.is_empty()
        || path.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Whether the system would refuse to bind both, or give one port to either.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || any)
}

/// The parts of the snapshot that are written as they are; those that rules make are still empty.
fn snapshot(document: &Document) -> Snapshot {
    let Document { listen, admin, upstream, access, models, limits, timeouts, data, .. } = document;
    let Document { journal, prices, books, log, .. } = document;
    Snapshot {
        listen: Listen {
            address: listen.address.socket(),
            tls: listen.tls.as_ref().map(|tls| TlsFiles { cert: path(&tls.cert), key: path(&tls.key) }),
        },
        admin: admin.address.socket(),
        upstream: Upstream {
            url: upstream.url.clone(),
            credential: upstream.credential.clone(),
            http2: upstream.http2,
            ca_file: upstream.ca_file.as_ref().map(path),
            proxy: upstream.proxy.clone(),
        },
        other_v1_allowed: access.other_v1 == Verdict::Allow,
        key_warn_days: access.key_warn_days,
        key_max_days: access.key_max_days,
        models: models.clone(),
        limits: Limits {
            body_bytes: bytes(limits.body),
            head_bytes: bytes(limits.head),
            uri_bytes: bytes(limits.uri),
            headers: count(limits.headers),
            connections: count(limits.connections),
            buffered_bytes: bytes(limits.buffered),
        },
        timeouts: Timeouts {
            connect: timeouts.connect.as_std(),
            first_byte: timeouts.first_byte.as_std(),
            stream_idle: timeouts.stream_idle.as_std(),
            client_head: timeouts.client_head.as_std(),
            client_body: timeouts.client_body.as_std(),
            keep_alive: timeouts.keep_alive.as_std(),
            drain: timeouts.drain.as_std(),
        },
        data: path(data),
        durability: journal.durability,
        price_file: prices.file.as_ref().map(path),
        books: Books {
            calendar: allowances::calendar(books),
            hide_upstream_limits: books.upstream_limit_headers == Visibility::Hide,
            keep_records_months: books.keep_records_months,
        },
        allowances: Vec::new(),
        tags: Vec::new(),
        cost_centres: Vec::new(),
        brakes: None,
        log_format: log.format,
        log_level: log.level,
        warnings: Vec::new(),
    }
}

fn path(path: &FilePath) -> PathBuf {
    path.as_path().to_owned()
}

/// A size larger than the address space is as good as no limit.
fn bytes(size: Size) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
