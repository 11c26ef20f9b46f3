//! `doctor auth`: the line, the token, and whose refusal it is.

use hyper::Method;
use serde_json::json;
use tollgate_policy::unit::UnixMs;

use super::{
    Examined, issuer,
    jwt::{self, Jwt},
    line,
    proxy::PROXY_DEMANDS,
    refusal::{Tries, Verdict},
    reply::{Form, Reply},
    rules::{API_KEY, BEARER, BOTH, CLOCK, CREDENTIAL, ENDPOINT, HTTP, PROXY, TOKEN},
    shape::Shape,
};
use crate::{
    dial::Way,
    exchange::{Answer, Ask, ExchangeFault},
    finding::{Finding, Ground::Proven, Rule},
    printer::Printer,
    time::Instant,
    token::Token,
};

/// What to find out.
pub(crate) struct Question {
    /// The way to the gateway.
    pub(crate) way: Way,
    /// The credential.
    pub(crate) token: Option<Token>,
    /// A model that the gateway serves. Without one, a model is asked for that nobody serves, which costs nothing.
    pub(crate) model: Option<String>,
    /// Who should have issued the token.
    pub(crate) issuer: Option<String>,
    /// For whom the token should be.
    pub(crate) audience: Option<String>,
}

/// Nobody gave this out.
const MADE_UP: &str = "tollgate-doctor-made-up-credential";
/// Nobody serves this.
const NO_MODEL: &str = "tollgate-doctor-no-such-model";
/// Nobody has this.
const NO_PATH: &str = "/v1/tollgate-doctor-no-such-path";
const MESSAGES: &str = "/v1/messages?beta=true";
/// Clocks that differ by more judge tokens differently, in milliseconds.
const SKEW_MS: i64 = 60_000;

/// The headers in which a credential is presented.
#[derive(Clone, Copy)]
enum Presented<'t> {
    Nowhere,
    Bearer(&'t str),
    ApiKey(&'t str),
    Both(&'t str),
}

impl Question {
    /// Finds out, and tells whom else than the gateway it asks.
    pub(crate) async fn answer(&self, printer: &Printer) -> Examined {
        let now = Instant::now().unix_ms();
        let line = line::look(&self.way, now).await;
        let mut examined = Examined { findings: line.findings, product: None };
        if !line.is_open {
            examined.findings.extend(self.token(now, printer).await);
            return examined;
        }
        let none = match self.ask(MESSAGES, Presented::Nowhere).await {
            Ok(answer) => answer,
            Err(fault) => {
                examined.findings.push(no_answer(&fault));
                examined.findings.extend(self.token(now, printer).await);
                return examined;
            }
        };
        if none.status == 407 {
            let says = "the proxy demands a credential of its own (status 407)";
            examined.findings.push(Finding::fail(&PROXY, Proven, says).cure(PROXY_DEMANDS));
            return examined;
        }
        let says = format!("answered in {} ms", none.head_at.as_millis());
        examined.findings.push(Finding::pass(&HTTP, Proven, says));
        let their_now = date(&none);
        examined.findings.extend(their_now.map(|theirs| clock(now, theirs)));
        examined.findings.extend(self.token(their_now.unwrap_or(now), printer).await);
        let none = Reply::of(&none);
        examined.product = none.product;
        match self.presented(none, &mut examined).await {
            Ok(findings) => examined.findings.extend(findings),
            Err(fault) => examined.findings.push(no_answer(&fault)),
        }
        examined
    }

    /// All texts that must be shown nowhere.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let token = self.token.as_ref().map(Token::reveal).unwrap_or_default();
        let mut secrets: Vec<String> =
            token.split('.').map(str::to_owned).filter(|part| part.len() > 8).collect();
        secrets.insert(0, token.to_owned());
        secrets.extend(crate::extra::secrets(&self.way.extras));
        let given = format!(
            "{} {} {}",
            self.way.url,
            self.issuer.as_deref().unwrap_or_default(),
            self.audience.as_deref().unwrap_or_default()
        );
        // What was given on the command line is known already.
        let values = Jwt::parse(token).map(|jwt| jwt.values()).unwrap_or_default();
        secrets.extend(values.into_iter().filter(|value| !given.contains(value.as_str())));
        secrets
    }

    /// What the credential shows by itself, and by its issuer.
    async fn token(&self, now: UnixMs, printer: &Printer) -> Vec<Finding> {
        let Some(token) = &self.token else {
            let says = "no credential was given, so none was tried";
            let cure = "Give one by --token-env, --token-file or `--token -`.";
            return vec![Finding::unknown(&TOKEN, says).cure(cure)];
        };
        let (says, cure) = Shape::of(token.reveal()).says();
        let shape = match cure {
            None => Finding::pass(&TOKEN, Proven, says),
            Some(cure) => Finding::fail(&TOKEN, Proven, says).cure(cure),
        };
        let mut findings = vec![shape];
        if let Some(jwt) = Jwt::parse(token.reveal()) {
            findings.extend(jwt.times(now));
            findings.push(jwt.audience(self.audience.as_deref()));
            findings.extend(issuer::check(&jwt, self.issuer.as_deref(), &self.way, printer).await);
        }
        findings
    }

    /// Presents the credential in every way, and judges the answers.
    async fn presented(&self, none: Reply, examined: &mut Examined) -> Result<Vec<Finding>, ExchangeFault> {
        let reply =
            async |presented| Ok::<_, ExchangeFault>(Reply::of(&self.ask(MESSAGES, presented).await?));
        let made_up = reply(Presented::Bearer(MADE_UP)).await?;
        let Some(token) = &self.token else {
            let endpoint = self.endpoint(&none).await?;
            let tries = Tries { given: none.clone(), made_up, none };
            return Ok(std::iter::once(endpoint).chain(self.refusal(&tries)).collect());
        };
        let token = token.reveal();
        let ways = [
            (&BEARER, "it", reply(Presented::Bearer(token)).await?),
            (&API_KEY, "it", reply(Presented::ApiKey(token)).await?),
            (&BOTH, "the same in both", reply(Presented::Both(token)).await?),
        ];
        let best = ways.iter().map(|(_, _, reply)| reply).find(|reply| !reply.is_refusal());
        let given = best.unwrap_or(&ways[0].2).clone();
        examined.product = examined.product.or(given.product);
        let endpoint = self.endpoint(&given).await?;
        let is_there = !matches!(endpoint.outcome, crate::finding::Outcome::Fail(_));
        let tries = Tries { given, made_up, none };
        let mut findings = vec![endpoint];
        if !is_there {
            return Ok(findings);
        }
        findings.push(tries.credential(examined.product));
        findings.extend(tries.route(self.model(), self.model.is_none()));
        if matches!(tries.judge().0, Verdict::Accepted) {
            findings.extend(ways.iter().map(|(rule, what, reply)| header(rule, what, reply)));
        }
        findings.extend(self.refusal(&tries));
        Ok(findings)
    }

    /// Whether others are refused. A certificate of the client may be credential enough, so then it is not judged.
    fn refusal(&self, tries: &Tries) -> Option<Finding> {
        self.way.client_certificate.is_none().then(|| tries.refusal())
    }

    /// Whether the endpoint is there. A 404 is held against that of a path which can not exist.
    async fn endpoint(&self, given: &Reply) -> Result<Finding, ExchangeFault> {
        let fail = |says: String, cure: &str| {
            Ok(Finding::fail(&ENDPOINT, Proven, says).with("answered", given.line()).cure(cure))
        };
        match given.status {
            300..=399 => fail(
                format!("it is answered with a redirect ({})", given.status),
                "Use the URL that it leads to, with its scheme and host. Where it leads to a login page, exempt \
                 /v1/messages from single sign-on.",
            ),
            200 if given.form == Form::Html => fail(
                "a page for browsers answers".to_owned(),
                "Compare the URL with the one that you were given: this is a web site, or a login in front of the gateway.",
            ),
            403 if given.message.starts_with("Missing Authentication Token") => fail(
                "AWS API Gateway says this of paths that do not exist".to_owned(),
                "Compare the path of the URL with the one that you were given: the stage is a part of it.",
            ),
            404 | 405 => {
                let token =
                    self.token.as_ref().map_or(Presented::Nowhere, |token| Presented::Bearer(token.reveal()));
                let control = Reply::of(&self.ask(NO_PATH, token).await?);
                if given.status == 405 || given.form != Form::Envelope || control.is_like(given) {
                    return fail(
                        "there is no /v1/messages below this URL".to_owned(),
                        "Compare host, port and path of the URL with those that you were given; it does not end in /v1.",
                    );
                }
                Ok(Finding::pass(&ENDPOINT, Proven, "/v1/messages is there"))
            }
            _ => Ok(Finding::pass(&ENDPOINT, Proven, "/v1/messages is there")),
        }
    }

    async fn ask(&self, target: &str, presented: Presented<'_>) -> Result<Answer, ExchangeFault> {
        let body = json!({
            "model": self.model(),
            "max_tokens": 1,
            "messages": [{"role": "user", "content": "Hi"}],
        });
        let ask = Ask::new(Method::POST, target)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("anthropic-version", "2023-06-01")
            .header("user-agent", concat!("tollgate-doctor/", env!("CARGO_PKG_VERSION")))
            .body(body.to_string())
            .silence(self.way.patience);
        let bearer = |ask: Ask, token: &str| ask.header("authorization", format!("Bearer {token}"));
        let ask = match presented {
            Presented::Nowhere => ask,
            Presented::Bearer(token) => bearer(ask, token),
            Presented::ApiKey(token) => ask.header("x-api-key", token),
            Presented::Both(token) => bearer(ask, token).header("x-api-key", token),
        };
        ask.send(&self.way).await
    }

    fn model(&self) -> &str {
        self.model.as_deref().unwrap_or(NO_MODEL)
    }
}

fn header(rule: &'static Rule, what: &str, reply: &Reply) -> Finding {
    if !reply.is_refusal() {
        return Finding::pass(rule, Proven, format!("{what} is taken"));
    }
    Finding::fail(rule, Proven, format!("{what} is refused"))
        .with("answered", reply.line())
        .cure("Let the gateway take either header, and either one where both are there; or use the header that it takes.")
}

fn no_answer(fault: &ExchangeFault) -> Finding {
    let says = fault.to_string();
    let (what, cure) = match (fault.explained(), fault) {
        (Some(explained), _) => explained,
        (None, ExchangeFault::Silent(_)) => {
            (says.as_str(), "The gateway hangs: look into its log. --timeout waits longer.")
        }
        (None, _) => (says.as_str(), "Try again."),
    };
    let rule = if fault.is_alert() { &CREDENTIAL } else { &HTTP };
    Finding::fail(rule, Proven, what).with("library", says.as_str()).cure(cure)
}

/// The instant that an answer says it is (RFC 9110, section 6.6.1).
fn date(answer: &Answer) -> Option<UnixMs> {
    let text = answer.header("date")?;
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(UnixMs(at.as_millisecond()))
}

fn clock(ours: UnixMs, theirs: UnixMs) -> Finding {
    let ms = theirs.ms_since(ours);
    if ms.abs() <= SKEW_MS {
        return Finding::pass(&CLOCK, Proven, "this machine and the gateway agree on the time");
    }
    let side = if ms > 0 { "ahead of" } else { "behind" };
    let says = format!("the clock of the gateway is {} {side} the one of this machine", jwt::span(ms));
    Finding::fail(&CLOCK, Proven, says).cure(
        "Let both machines take the time from the network (NTP): tokens are judged by the gateway's clock.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Outcome;

    #[test]
    fn clocks_may_differ_by_a_minute() {
        for (theirs, holds) in
            [(0, true), (60_000, true), (-60_000, true), (61_000, false), (-3_600_000, false)]
        {
            let finding = clock(UnixMs(0), UnixMs(theirs));
            assert_eq!(matches!(finding.outcome, Outcome::Pass(_)), holds, "{theirs}: {}", finding.says);
        }
        assert!(clock(UnixMs(0), UnixMs(-7_200_000)).says.contains("2 h behind"));
    }
}
