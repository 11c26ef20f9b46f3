//! Sends what the estimator wants to have sent, and keeps what came.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep_until};

use super::{
    BODY_BYTES, Claim, OUTPUT_TOKENS, Plan,
    estimate::{Call, Estimate, Estimator, Step},
};
use crate::{
    check::{
        Scene,
        question::{MESSAGES, VERSION},
    },
    dial::Way,
    exchange::{Answer, Ask, ExchangeFault, Line},
    printer::{Printer, Progress},
    signals::Stop,
    token::Token,
};

/// How long the probe takes to answer a request that should take its time.
const HOLD: Duration = Duration::from_millis(500);

/// Requests of the second client, at each of two times.
const SECOND: u32 = 4;

/// So many requests that come to nothing, and it is given up.
const MOST_TROUBLE: u32 = 5;

/// What was seen of a limit.
#[derive(Debug)]
pub(crate) struct Survey {
    /// What limit there is.
    pub(super) estimate: Estimate,
    /// All requests of the estimate that were let in or refused.
    pub(super) log: Vec<Call>,
    /// All requests.
    pub(crate) calls: u32,
    /// How long it took.
    pub(super) took: Duration,
    /// The first answer of each kind.
    pub(super) admitted: Option<Answer>,
    pub(super) refused: Option<Answer>,
    /// Whether the first refused request reached the probe; none without a probe.
    pub(super) refused_upstream: Option<bool>,
    /// Of the second client, while the first was refused: requests that were sent, and let in.
    pub(super) second: Option<(u32, u32)>,
    /// After how many requests over one connection something was refused, where nothing was over many.
    pub(super) one_connection: Option<u32>,
    /// Why it was given up.
    pub(super) trouble: Option<String>,
    /// How many requests are let in at once, where that is limited.
    pub(super) at_once: Option<u32>,
    /// Whether there was no gateway.
    pub(crate) is_unreachable: bool,
    /// Whether somebody stopped it.
    pub(crate) is_stopped: bool,
}

/// Looks for the limit of a gateway.
pub(crate) async fn survey(
    scene: &Scene,
    second: Option<&Token>,
    plan: &Plan,
    stop: &mut Stop,
    printer: &Printer,
) -> Survey {
    // The probe answers as slowly as is wanted, and others do so anyway.
    let hold = if scene.is_proven() { HOLD } else { Duration::ZERO };
    let mut drive = Drive {
        caller: Caller { way: scene.way.clone(), model: scene.model.clone(), silence: scene.patience },
        scene,
        plan,
        began: Instant::now(),
        // What the second client sends is a part of what may be sent.
        estimator: Estimator::new(plan.terms(if second.is_some() { 2 * SECOND } else { 0 }, hold)),
        under_way: JoinSet::new(),
        progress: printer.progress("requests", plan.most_calls.into()),
        refused_nonce: None,
        troubles: 0,
        survey: Survey {
            estimate: Estimate::Unfinished(super::estimate::Gap::Stopped),
            log: Vec::new(),
            calls: 0,
            took: Duration::ZERO,
            admitted: None,
            refused: None,
            refused_upstream: None,
            second: None,
            one_connection: None,
            trouble: None,
            at_once: None,
            is_unreachable: false,
            is_stopped: false,
        },
    };
    tokio::select! {
        () = drive.run(second) => {}
        () = stop.next() => drive.survey.is_stopped = true,
    }
    drive.ended().await
}

struct Drive<'a> {
    caller: Caller,
    scene: &'a Scene,
    plan: &'a Plan,
    began: Instant,
    estimator: Estimator,
    under_way: JoinSet<Came>,
    progress: Progress,
    refused_nonce: Option<String>,
    troubles: u32,
    survey: Survey,
}

/// How requests are sent.
#[derive(Debug, Clone)]
struct Caller {
    way: Way,
    model: String,
    silence: Duration,
}

/// One request that came to an end.
struct Came {
    nonce: String,
    sent: Instant,
    answered: Instant,
    answer: Result<Answer, ExchangeFault>,
}

impl Drive<'_> {
    async fn run(&mut self, second: Option<&Token>) {
        let mut is_full_known = false;
        loop {
            if self.survey.second.is_none()
                && let (Some(second), Some(admitted)) = (second, self.estimator.is_shut())
            {
                self.survey.second = Some(self.ask_second(second, admitted).await);
            }
            if let (Some(second), false, true) = (second, is_full_known, self.estimator.is_full()) {
                is_full_known = true;
                self.survey.second = self.ask_second_beside(second).await;
            }
            match self.estimator.next(self.began.elapsed()) {
                Step::Send => self.send(),
                Step::Listen => self.listen().await,
                Step::Wait(until) => {
                    let until = (self.began + until).min(self.progress.next_note());
                    tokio::select! {
                        () = sleep_until(until.into()) => {}
                        Some(came) = self.under_way.join_next() => self.take(came.ok()),
                    }
                    if let Some(waited) = self.estimator.waited(self.began.elapsed()) {
                        let seconds = waited.as_secs();
                        self.progress.note(&format!("waiting until something is let in again, {seconds} s"));
                    }
                }
                Step::Done => break,
            }
            if self.survey.trouble.is_some() {
                return;
            }
        }
        let is_unlimited = matches!(self.estimator.estimate(), Estimate::NoLimit { .. })
            && self.estimator.at_once_limit().is_none();
        if let (true, Some(Claim::Requests(requests))) = (is_unlimited, self.plan.claim) {
            let most = requests.saturating_add(requests / 10).saturating_add(1);
            // One more is for another connection.
            if self.survey.calls.saturating_add(most) < self.plan.most_calls {
                self.survey.one_connection = self.over_one_connection(most).await;
            }
        }
    }

    async fn listen(&mut self) {
        let came = self.under_way.join_next().await;
        self.take(came.and_then(Result::ok));
    }

    fn send(&mut self) {
        let hold = self.estimator.is_crowding();
        let (caller, ask, nonce) = self.ask(self.scene.token.as_ref(), hold);
        self.under_way.spawn(caller.call(ask, nonce));
    }

    /// The smallest request for a message. With a probe, the answer tells as many tokens as are wanted, and takes its
    /// time.
    fn ask(&mut self, token: Option<&Token>, takes_its_time: bool) -> (Caller, Ask, String) {
        self.survey.calls += 1;
        let nonce = self.scene.nonce();
        let mark = if self.scene.is_proven() {
            let wait = if takes_its_time { HOLD.as_millis() } else { 0 };
            format!("[[sim: usage=in:{},out:0;first_byte_ms={wait}]] ", self.plan.tokens())
        } else {
            String::new()
        };
        let body = json!({
            "model": self.caller.model,
            "max_tokens": OUTPUT_TOKENS,
            "messages": [{"role": "user", "content": format!("{mark}{nonce} Hi")}],
        })
        .to_string();
        debug_assert!(body.len() as u64 <= BODY_BYTES, "the bound of the cost rests on it");
        let mut ask = Ask::new(Method::POST, MESSAGES)
            .header("content-type", "application/json")
            .header("user-agent", concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .header("anthropic-version", VERSION)
            .silence(self.caller.silence)
            .body(body);
        if let Some(token) = token {
            ask = ask.header("authorization", format!("Bearer {}", token.reveal()));
        }
        (self.caller.clone(), ask, nonce)
    }

    fn take(&mut self, came: Option<Came>) {
        self.progress.step();
        let Some(Came { nonce, sent, answered, answer }) = came else {
            return self.trouble("a request ended by itself".to_owned());
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(fault) => {
                self.survey.is_unreachable = self.survey.admitted.is_none();
                return self.trouble(fault.to_string());
            }
        };
        let is_admitted = answer.status == 200;
        if !is_admitted && !is_refusal(&answer) {
            let status = answer.status;
            return self.trouble(format!("a request is answered with status {status}"));
        }
        self.estimator.answered(Call {
            sent_at: sent.saturating_duration_since(self.began),
            answered_at: answered.saturating_duration_since(self.began),
            is_admitted,
            retry_after: answer.header("retry-after").and_then(|value| value.trim().parse().ok()),
        });
        if is_admitted {
            self.survey.admitted.get_or_insert(answer);
        } else if self.survey.refused.is_none() {
            (self.survey.refused, self.refused_nonce) = (Some(answer), Some(nonce));
        }
    }

    /// The first request must work; later a few may fail.
    fn trouble(&mut self, says: String) {
        self.estimator.failed();
        self.troubles += 1;
        if self.survey.admitted.is_none() || self.troubles >= MOST_TROUBLE {
            self.survey.trouble = Some(says);
        }
    }

    /// Some requests of another client at once, no more than one client is let in with.
    async fn ask_second(&mut self, second: &Token, admitted: u32) -> (u32, u32) {
        let mut under_way = JoinSet::new();
        let sent = admitted.clamp(1, SECOND);
        for _ in 0..sent {
            let (caller, ask, nonce) = self.ask(Some(second), false);
            under_way.spawn(caller.call(ask, nonce));
        }
        let came = under_way.join_all().await;
        let admitted = came.iter().filter(|came| matches!(&came.answer, Ok(answer) if answer.status == 200));
        (sent, u32::try_from(admitted.count()).unwrap_or(sent))
    }

    /// The same while as many requests of the first client are under way as are let in. Nothing if one of them ended
    /// meanwhile: there may have been room.
    async fn ask_second_beside(&mut self, second: &Token) -> Option<(u32, u32)> {
        let came = self.ask_second(second, 1).await;
        while let Some(ended) = self.under_way.try_join_next() {
            self.take(ended.ok());
        }
        self.estimator.is_full().then_some(came)
    }

    /// How many requests one connection lets in, if it refuses one of so many and another connection does not.
    async fn over_one_connection(&mut self, most: u32) -> Option<u32> {
        let mut line = Line::open(&self.caller.way).await.ok()?;
        for count in 0..most {
            let scene = self.scene;
            let (caller, ask, _) = self.ask(scene.token.as_ref(), false);
            self.progress.step();
            // A gateway that closes its connections does not count by them.
            let answer = line.send(&ask, &caller.way).await.ok()?;
            if is_refusal(&answer) {
                self.survey.refused.get_or_insert(answer);
                let (caller, ask, nonce) = self.ask(scene.token.as_ref(), false);
                let other = caller.call(ask, nonce).await.answer;
                return other.is_ok_and(|other| other.status == 200).then_some(count);
            }
        }
        None
    }

    async fn ended(mut self) -> Survey {
        self.under_way.shutdown().await;
        self.progress.finish();
        self.survey.estimate = self.estimator.estimate();
        self.survey.log = self.estimator.log();
        self.survey.at_once = self.estimator.at_once_limit();
        self.survey.took = self.began.elapsed();
        if let (true, Some(nonce)) = (self.scene.is_proven(), &self.refused_nonce) {
            let arrived = self.scene.arrived(nonce, Duration::ZERO).await;
            self.survey.refused_upstream = Some(!arrived.is_empty());
        }
        self.survey
    }
}

impl Caller {
    /// Asks over a connection of its own, as a limit that counts connections lets each of them in.
    async fn call(self, ask: Ask, nonce: String) -> Came {
        let line = Line::open(&self.way).await;
        // What it took to connect does not count.
        let sent = Instant::now();
        let answer = match line {
            Ok(mut line) => line.send(&ask, &self.way).await,
            Err(fault) => Err(fault),
        };
        let took = answer.as_ref().map_or(Duration::ZERO, |answer| answer.head_at);
        Came { nonce, sent, answered: sent + took, answer }
    }
}

/// 503 is what nginx says by default where it should say 429.
fn is_refusal(answer: &Answer) -> bool {
    matches!(answer.status, 429 | 503)
}
