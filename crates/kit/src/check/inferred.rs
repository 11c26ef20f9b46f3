//! What can be told of a gateway before a live provider: requests that differ in one thing are compared, each for a few
//! tokens. What a difference is best explained by is inferred; the rest stays unknown.

use std::time::Duration;

use serde_json::Value;
use tokio::join;
use tollgate_policy::{
    price::{Order, PriceBook, input_bound},
    unit::{NanoUsd, UnixMs},
};

use super::{
    bodies, credentials, endpoints,
    question::{BETAS, Question},
    rules::{ARRIVAL, BETA, BODY, HEADERS, STREAM, SUCCESS, VERBATIM, VERSION},
    scene::{Scene, Trial, beginning},
    streams,
};
use crate::finding::{Finding, Ground::Inferred, Outcome};

/// Requests that a provider may bill: a test counts them.
const BILLED_AT_MOST: u32 = 14;
/// The longest body and the longest answer of any of them.
const BODY_BYTES: u64 = 2048;
const OUTPUT_TOKENS: u64 = 64;
/// A beta that no provider knows.
const NONSENSE: &str = "tollgate-check-2099-01-01";

/// The most that a check may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Requests that may be billed.
    pub(crate) requests: u32,
    /// Their price, at the list prices of the built-in book.
    pub(crate) cost: NanoUsd,
}

impl Bound {
    /// For this model, now. A model that the book does not know has the price of the dearest one.
    pub(crate) fn of(model: &str, at: UnixMs) -> Self {
        let order = Order {
            models: &[model],
            upstreams: &[],
            at,
            input_tokens: input_bound(BODY_BYTES, 0),
            output_tokens: OUTPUT_TOKENS,
            fast: false,
            inferences: BILLED_AT_MOST,
        };
        Self { requests: BILLED_AT_MOST, cost: PriceBook::builtin().reservation(&order) }
    }
}

/// The cheapest of these models; without one that the price book knows, the cheapest that the book knows.
pub(crate) fn cheapest(ids: &[String], at: UnixMs) -> String {
    let book = PriceBook::builtin();
    let known = ids
        .iter()
        .map(String::as_str)
        .filter(|id| book.knows(id, at, ""))
        .min_by_key(|id| Bound::of(id, at).cost);
    let any = || book.names().min_by_key(|name| Bound::of(name, at).cost);
    known.or_else(any).unwrap_or_default().to_owned()
}

/// The models that the gateway lists, for [`cheapest`].
pub(crate) async fn discovered(scene: &Scene) -> Vec<String> {
    endpoints::discover(scene, super::question::Credential::Bearer).await.1
}

/// All that can be inferred, after a first request that was answered with a message.
pub(super) async fn all(scene: &Scene, first: &Trial) -> Vec<Finding> {
    let (control, count_tokens, models, hello) = join!(
        endpoints::control(scene, Inferred),
        endpoints::count_tokens(scene, Inferred),
        endpoints::models(scene, Inferred),
        endpoints::hello(scene, Inferred),
    );
    let (version, beta, pair) = join!(version(scene), beta(scene), pair(scene));
    let (api_key, both, markup) = join!(
        credentials::api_key(scene, Inferred),
        credentials::both(scene, Inferred),
        bodies::markup(scene, Inferred),
    );
    let mut findings = vec![control, count_tokens, models, hello, api_key, both, markup, body(first)];
    findings.push(forwarding(&version, &beta, &pair));
    findings.extend([version, beta]);
    findings.extend(errors(scene).await);
    findings.extend(stream(scene).await);
    findings
}

fn body(first: &Trial) -> Finding {
    let fault = first.answer.as_ref().ok().and_then(|answer| bodies::message_fault(answer, None));
    let finding = match fault {
        None => Finding::pass(&BODY, Inferred, "Response body structure preserved correctly"),
        Some(says) => Finding::fail(&BODY, Inferred, says),
    };
    first.explain(finding)
}

/// Without a version the provider refuses; if it does not, somebody added one.
async fn version(scene: &Scene) -> Finding {
    let trial = scene.ask(scene.message("").without("anthropic-version")).await;
    let finding = match &trial.answer {
        Ok(answer) if answer.status == 400 && answer.text().contains("anthropic-version") => {
            Finding::pass(&VERSION, Inferred, "where the client sends none, the provider misses it")
        }
        Ok(answer) if answer.status == 200 => Finding::fail(
            &VERSION,
            Inferred,
            "where the client sends none, the provider misses none: one is added",
        ),
        _ => Finding::unknown(&VERSION, "a request without a version shows nothing"),
    };
    trial.explain(finding)
}

/// A beta that nobody knows is refused by the provider in words that quote it; if not, it did not get there.
async fn beta(scene: &Scene) -> Finding {
    let trial = scene.ask(scene.message("").with("anthropic-beta", format!("{BETAS},{NONSENSE}"))).await;
    let finding = match &trial.answer {
        Ok(answer) if answer.status == 400 && answer.text().contains(NONSENSE) => {
            Finding::pass(&BETA, Inferred, "the provider refuses a value that nobody knows, and quotes it")
        }
        Ok(answer) if answer.status == 200 => Finding::fail(
            &BETA,
            Inferred,
            "a value that nobody knows is not refused: it did not reach the provider",
        ),
        _ => Finding::unknown(&BETA, "a value that nobody knows shows nothing"),
    };
    trial.explain(finding.with("sent", format!("anthropic-beta: ...,{NONSENSE}")))
}

/// Whether a beta arrives with the member of the body that needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pair {
    /// The member is taken with the beta and refused without it: both arrive.
    Arrives,
    /// It is refused even with the beta.
    Broken,
    /// Both requests end alike.
    Silent,
}

async fn pair(scene: &Scene) -> Pair {
    let question = || {
        let question = scene.message("");
        let mut body = question.text().to_vec();
        body.truncate(body.len() - 1);
        body.extend_from_slice(br#","context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}}"#);
        question.body(body)
    };
    let (with, without) = join!(scene.ask(question()), scene.ask(question().without("anthropic-beta")));
    match (with.status(), without.status()) {
        (Some(200), Some(400)) => Pair::Arrives,
        (Some(400), Some(400)) => Pair::Broken,
        _ => Pair::Silent,
    }
}

/// The guide's question about headers, from what the three comparisons say.
fn forwarding(version: &Finding, beta: &Finding, pair: &Pair) -> Finding {
    let failed = |finding: &Finding| matches!(finding.outcome, Outcome::Fail(_));
    let passed = |finding: &Finding| matches!(finding.outcome, Outcome::Pass(_));
    if failed(version) {
        Finding::fail(&HEADERS, Inferred, "anthropic-version is set on the way")
    } else if *pair == Pair::Broken {
        Finding::fail(&HEADERS, Inferred, "anthropic-beta does not arrive beside the member that needs it")
    } else if failed(beta) && *pair != Pair::Arrives {
        Finding::fail(&HEADERS, Inferred, "anthropic-beta does not reach the provider")
    } else if passed(version) && (passed(beta) || *pair == Pair::Arrives) {
        Finding::pass(&HEADERS, Inferred, "All required headers forwarded correctly")
    } else {
        Finding::unknown(&HEADERS, "the provider's answers do not show which headers reach it")
    }
}

/// An error of the provider, which a request without `max_tokens` is given for nothing.
async fn errors(scene: &Scene) -> Vec<Finding> {
    let question = scene.message("");
    let body = String::from_utf8_lossy(question.text()).replace("\"max_tokens\":16,", "");
    let trial = scene.ask(question.body(body)).await;
    let Ok(answer) = &trial.answer else { return Vec::new() };
    let success = match answer.status {
        400 => Finding::pass(&SUCCESS, Inferred, "the provider's 400 arrives as 400"),
        200 => {
            Finding::fail(&SUCCESS, Inferred, "a request that the provider must refuse is answered with 200")
        }
        _ => Finding::unknown(&SUCCESS, "a request that is wrong shows nothing"),
    };
    let error: Value = serde_json::from_slice(&answer.body()).unwrap_or_default();
    let id = answer.header("request-id");
    let verbatim = if !bodies::is_envelope(&answer.body()) && answer.status == 400 {
        Finding::fail(&VERBATIM, Inferred, "the provider's error is told in another form than the API's")
    } else if id.is_some() && error["request_id"].as_str() == id {
        Finding::pass(&VERBATIM, Inferred, "the provider's error is there with its request_id")
    } else {
        Finding::unknown(&VERBATIM, "nothing shows that an error is the provider's own")
    };
    vec![trial.explain(success), trial.explain(verbatim)]
}

/// A stream of a few words, whose pieces a model takes time to find.
async fn stream(scene: &Scene) -> Vec<Finding> {
    let question = scene.message("").stream();
    let body = String::from_utf8_lossy(question.text()).replace("\"max_tokens\":16", "\"max_tokens\":64");
    let body = body.replace("Say hello.", "Count from one to twenty in words.");
    let trial = scene.ask(Question::body(question, body)).await;
    let Ok(answer) = &trial.answer else { return Vec::new() };
    let chunks = answer.text().matches("event: content_block_delta").count();
    let whole = match streams::stream_fault(answer, 1) {
        None => Finding::pass(
            &STREAM,
            Inferred,
            format!("Gateway supports SSE streaming ({chunks} chunks received)"),
        ),
        Some(says) => Finding::fail(&STREAM, Inferred, says),
    };
    let times: Vec<Duration> = answer.pieces.iter().map(|piece| piece.at).collect();
    let spread = match (times.first(), times.last()) {
        (Some(first), Some(last)) => last.saturating_sub(*first),
        _ => Duration::ZERO,
    };
    let arrival = if times.len() >= 3 && spread >= Duration::from_millis(100) {
        let says = format!("{} pieces come over {} ms", times.len(), spread.as_millis());
        Finding::pass(&ARRIVAL, Inferred, says)
    } else if chunks >= 3 && trial.took >= Duration::from_secs(1) && spread * 20 < trial.took {
        let says = format!("after {} ms all comes within {} ms", trial.took.as_millis(), spread.as_millis());
        Finding::fail(&ARRIVAL, Inferred, says)
    } else {
        Finding::unknown(&ARRIVAL, "the stream is too short to tell whether it was held back")
    };
    let arrival = arrival.with("answered", beginning(&answer.body()));
    vec![trial.explain(whole), arrival]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_model_is_taken_from_the_list_or_from_the_book() {
        let at = UnixMs(1_795_000_000_000);
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(cheapest(&ids(&["claude-opus-5-5", "claude-sonnet-5-5"]), at), "claude-sonnet-5-5");
        assert_eq!(cheapest(&ids(&["somebodys-own", "claude-opus-5-5"]), at), "claude-opus-5-5");
        assert_eq!(cheapest(&[], at), "claude-haiku-5-5");
    }

    #[tokio::test]
    async fn what_may_be_billed_stays_within_the_bound() {
        let provider =
            tollgate_simulator::Simulator::start(tollgate_simulator::Config::default()).await.unwrap();
        let way = crate::dial::Way::to(provider.url().parse().unwrap());
        let token = "a-credential-of-a-client".parse().ok();
        let scene = Scene::new(way, token, "claude-haiku-5-5".to_owned(), Duration::from_secs(10), 1);
        super::super::check(&scene, None).await;
        let asked = provider.record().requests();
        let billed: Vec<_> = asked.iter().filter(|seen| seen.target.starts_with("/v1/messages?")).collect();
        assert!((8..=BILLED_AT_MOST as usize).contains(&billed.len()), "{}", billed.len());
        for seen in billed {
            assert!(seen.body_bytes <= BODY_BYTES, "{seen:?}");
            let body: Value = serde_json::from_slice(&seen.body).unwrap();
            assert!(body["max_tokens"].as_u64().unwrap_or(0) <= OUTPUT_TOKENS, "{body}");
            assert!(!body.to_string().contains("[[sim:"), "a live provider gets no directives: {body}");
        }
        let once = Bound::of("claude-haiku-5-5", UnixMs(1_795_000_000_000));
        assert!(
            once.cost > NanoUsd(0) && once.cost < Bound::of("unheard-of", UnixMs(1_795_000_000_000)).cost
        );
    }

    #[test]
    fn headers_are_forwarded_only_where_a_difference_shows_it() {
        let fail = |rule| Finding::fail(rule, Inferred, "");
        let pass = |rule| Finding::pass(rule, Inferred, "");
        let unknown = |rule| Finding::unknown(rule, "");
        let failed = Outcome::Fail(Inferred);
        let passed = Outcome::Pass(Inferred);
        let rows = [
            (pass(&VERSION), pass(&BETA), Pair::Silent, passed),
            (pass(&VERSION), unknown(&BETA), Pair::Arrives, passed),
            (pass(&VERSION), unknown(&BETA), Pair::Silent, Outcome::Unknown),
            (pass(&VERSION), fail(&BETA), Pair::Silent, failed),
            (pass(&VERSION), fail(&BETA), Pair::Arrives, passed),
            (pass(&VERSION), pass(&BETA), Pair::Broken, failed),
            (fail(&VERSION), pass(&BETA), Pair::Arrives, failed),
            (unknown(&VERSION), pass(&BETA), Pair::Arrives, Outcome::Unknown),
        ];
        for (version, beta, pair, outcome) in rows {
            assert_eq!(forwarding(&version, &beta, &pair).outcome, outcome, "{version:?} {beta:?} {pair:?}");
        }
    }
}
