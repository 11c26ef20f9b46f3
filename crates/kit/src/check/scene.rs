//! The scene of a check: the gateway in the middle, we before it as its client and, where its upstream can be swapped,
//! behind it as its upstream.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::body::Bytes;
use tokio::{sync::Semaphore, time::timeout};
use tollgate_simulator::{Config, Ending, Keep, Record, Running, Seen, Simulator};

use super::question::{Credential, Question};
use crate::{
    dial::Way,
    exchange::{Answer, Ask, ExchangeFault},
    finding::{Evidence, Finding, Ground, Rule},
    token::Token,
};

/// Exchanges at once: more would test the gateway's limits instead of its faithfulness.
const PLACES: usize = 8;
/// How long the probe may take to note the end of an exchange whose end we have seen.
const NOTED_WITHIN: Duration = Duration::from_secs(3);
/// How often a request is sent that a limit of the gateway refuses, and how long its `retry-after` is obeyed.
const TRIES: usize = 6;
const WAIT_AT_MOST: Duration = Duration::from_secs(20);
/// Bodies of answers up to this length are searched for credentials.
const SEARCHED_BYTES: usize = 1 << 20;
/// A nonce stands near the beginning or the end of the body that carries it.
const NONCE_WITHIN: usize = 64 * 1024;

/// The scene of one check.
pub(crate) struct Scene {
    /// The way to the gateway.
    pub(crate) way: Way,
    /// The credential for it.
    pub(crate) token: Option<Token>,
    /// The model that requests name.
    pub(crate) model: String,
    /// How long the gateway may be silent.
    pub(crate) patience: Duration,
    probe: Option<Running>,
    run: u64,
    count: AtomicU32,
    places: Semaphore,
    is_patient: AtomicBool,
    notes: Mutex<Notes>,
}

/// What was seen in passing, for the rules about all exchanges.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Refusals by the gateway's own limits.
    pub(crate) limits: Vec<Answer>,
    /// Answers, those that are short enough to be searched.
    pub(crate) answers: Vec<Answer>,
}

/// One exchange, seen from both sides.
#[derive(Debug)]
pub(crate) struct Trial {
    /// What was sent.
    pub(crate) sent: Ask,
    /// What came back.
    pub(crate) answer: Result<Answer, ExchangeFault>,
    /// What reached the probe of it, in order; more than one if the gateway tried again.
    pub(crate) arrived: Vec<Seen>,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Scene {
    /// A scene without a probe. `run` tells one run from another; it is no secret.
    pub(crate) fn new(way: Way, token: Option<Token>, model: String, patience: Duration, run: u64) -> Self {
        let (count, places, notes) = (AtomicU32::new(0), Semaphore::new(PLACES), Mutex::default());
        let is_patient = AtomicBool::new(true);
        Self { way, token, model, patience, probe: None, run, count, places, is_patient, notes }
    }

    /// Starts the probe, to which the gateway's upstream must point.
    ///
    /// # Errors
    ///
    /// When the address can not be listened on.
    pub(crate) async fn probe(&mut self, listen: SocketAddr) -> std::io::Result<SocketAddr> {
        let keep = Keep { requests: 4096, body_bytes: 33 << 20, total_body_bytes: 128 << 20 };
        let probe = Simulator::start(Config { listen, keep, control: false, ..Config::default() }).await?;
        let address = probe.addr();
        self.probe = Some(probe);
        Ok(address)
    }

    /// Whether both sides are seen.
    pub(crate) fn is_proven(&self) -> bool {
        self.probe.is_some()
    }

    /// What the probe saw.
    pub(crate) fn record(&self) -> Option<Record> {
        self.probe.as_ref().map(Running::record)
    }

    /// What was seen in passing.
    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A word that is in no other request.
    pub(crate) fn nonce(&self) -> String {
        format!("check-{:016x}-{:05}", self.run, self.count.fetch_add(1, Ordering::Relaxed))
    }

    /// A question about a message, answered by the probe as these directives say. A live provider gets none.
    pub(crate) fn message(&self, directives: &str) -> Question {
        let directives = if self.is_proven() { directives } else { "" };
        Question::message(&self.model, self.nonce(), directives).silence(self.patience)
    }

    /// A question without a body.
    pub(crate) fn question(&self, method: hyper::Method, target: &str) -> Question {
        Question::bare(method, target, self.nonce()).silence(self.patience)
    }

    /// Asks, and looks at what reached the probe. What a limit of the gateway refuses is asked again when it says.
    pub(crate) async fn ask(&self, question: Question) -> Trial {
        let mut trial = self.once(&question).await;
        for tried in 1..=TRIES {
            let Some(wait) = self.limited(&trial) else { break };
            // What had no room after all these tries tells that the next will have none either.
            if tried == TRIES || wait > WAIT_AT_MOST {
                self.is_patient.store(false, Ordering::Relaxed);
            }
            if !self.is_patient.load(Ordering::Relaxed) {
                break;
            }
            tokio::time::sleep(wait).await;
            trial = self.once(&question).await;
        }
        trial
    }

    async fn once(&self, question: &Question) -> Trial {
        let ask = question.ask(&self.credentials(question.credential));
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let began = Instant::now();
        let (way, sent, limit) = (self.way.clone(), ask.clone(), question.limit);
        // A task of its own, so that pieces are timed when they come and not when this one gets round to it.
        let exchange = tokio::spawn(async move { timeout(limit, sent.send(&way)).await });
        let answer = match exchange.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ExchangeFault::Silent(limit)),
            Err(error) => Err(ExchangeFault::Request(error.to_string())),
        };
        let took = began.elapsed();
        let arrived = self.arrived(&question.nonce, NOTED_WITHIN).await;
        if let Ok(answer) = &answer
            && answer.pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>() <= SEARCHED_BYTES
        {
            self.notes().answers.push(answer.clone());
        }
        Trial { sent: ask, answer, arrived, took }
    }

    /// For how long to wait, if this is a refusal by a limit of the gateway itself.
    fn limited(&self, trial: &Trial) -> Option<Duration> {
        let answer = trial.answer.as_ref().ok().filter(|answer| answer.status == 429)?;
        if !self.is_proven() || !trial.arrived.is_empty() {
            return None;
        }
        self.notes().limits.push(answer.clone());
        let seconds = answer.header("retry-after").and_then(|value| value.trim().parse().ok());
        Some(Duration::from_secs(seconds.unwrap_or(1)))
    }

    /// What reached the probe under this nonce, once all of it has ended or `patience` is over.
    pub(crate) async fn arrived(&self, nonce: &str, patience: Duration) -> Vec<Seen> {
        let Some(record) = self.record() else { return Vec::new() };
        let find =
            || -> Vec<Seen> { record.requests().into_iter().filter(|seen| carries(seen, nonce)).collect() };
        let ended = record.until(|_| find().iter().all(|seen| seen.answer.ending != Ending::Open));
        // What has not ended in time is shown as it is.
        let _ = timeout(patience, ended).await;
        find()
    }

    /// The headers of a credential, with those that only look like one.
    fn credentials(&self, credential: Credential) -> Vec<(&'static str, String)> {
        let token = self.token.as_ref().map(Token::reveal).unwrap_or_default();
        let bearer = |value: &str| ("authorization", format!("Bearer {value}"));
        match credential {
            _ if token.is_empty() && credential != Credential::Bad => Vec::new(),
            Credential::Bearer => vec![bearer(token)],
            Credential::Key => vec![("x-api-key", token.to_owned())],
            Credential::Both => vec![bearer(token), ("x-api-key", token.to_owned())],
            Credential::Decoy => vec![bearer(token), ("x-api-key", self.decoy())],
            Credential::Bad => vec![bearer(&format!("nobody-gave-this-out-{:016x}", self.run))],
            Credential::None => Vec::new(),
        }
    }

    /// A second credential that stands for one that a client has in its environment by accident.
    pub(crate) fn decoy(&self) -> String {
        format!("stray-credential-{:016x}", self.run)
    }
}

fn carries(seen: &Seen, nonce: &str) -> bool {
    let holds = |bytes: &Bytes| {
        let ends =
            [&bytes[..bytes.len().min(NONCE_WITHIN)], &bytes[bytes.len().saturating_sub(NONCE_WITHIN)..]];
        ends.iter().any(|part| part.windows(nonce.len()).any(|window| window == nonce.as_bytes()))
    };
    seen.header("x-claude-code-session-id") == Some(nonce) || seen.target.contains(nonce) || holds(&seen.body)
}

impl Trial {
    /// The status, if there is an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        self.answer.as_ref().ok().map(|answer| answer.status)
    }

    /// Both ends of an exchange that should have worked; else what that says about a rule. A request that differs
    /// from an ordinary one in what the rule is about, and does not come through, shows that the rule does not hold.
    pub(crate) fn both(&self, rule: &'static Rule, what: &str) -> Result<(&Answer, &Seen), Box<Finding>> {
        let fail = |says: String| Err(Box::new(self.explain(Finding::fail(rule, Ground::Proven, says))));
        match (&self.answer, self.arrived.last()) {
            (Ok(answer), Some(seen)) => Ok((answer, seen)),
            (Ok(answer), None) if answer.status == 429 => {
                let says = "a limit of the gateway refused the request that would have told";
                Err(Box::new(self.explain(Finding::unknown(rule, says))))
            }
            (Ok(answer), None) => {
                fail(format!("{what} did not reach the upstream: status {}", answer.status))
            }
            (Err(fault), None) => fail(format!("{what} did not reach the upstream: {fault}")),
            (Err(fault), Some(_)) => {
                fail(format!("{what} reached the upstream, and no answer came: {fault}"))
            }
        }
    }

    /// The finding with what was sent, what arrived and what was answered.
    pub(crate) fn explain(&self, mut finding: Finding) -> Finding {
        let sent = format!("{} {}, {} bytes", self.sent.method, self.sent.target, self.sent.body.len());
        finding = finding.with("sent", sent);
        if let Some(seen) = self.arrived.last() {
            let arrived = format!("{} {}, {} bytes", seen.method, seen.target, seen.body_bytes);
            finding = finding.with("reached the upstream", arrived);
        }
        let answered = match &self.answer {
            Ok(answer) => format!("status {}: {}", answer.status, beginning(&answer.body())),
            Err(fault) => fault.to_string(),
        };
        finding = finding.with("answered", answered);
        finding.took = self.took;
        finding
    }
}

/// As much of a body as people read.
pub(crate) fn beginning(body: &[u8]) -> String {
    let cut = &body[..body.len().min(300)];
    String::from_utf8_lossy(cut).into_owned()
}

/// One piece of evidence, for those that build their own list.
pub(crate) fn evidence(label: &'static str, text: impl Into<String>) -> Evidence {
    Evidence { label, text: text.into() }
}
