//! What the survey of a limit means for its clients.

use std::time::Duration;

use serde_json::Value;

use super::{
    Claim, Plan, TOKEN_SHARES,
    drive::Survey,
    estimate::{Call, Estimate, Gap, Kind, Limit},
    rules::{FIGURE, HEADERS, ISOLATION, RETRY_AFTER, SOURCE},
};
use crate::{
    check::rules::LIMIT_SHAPE,
    exchange::Answer,
    finding::{Finding, Ground},
};

/// A figure may be off by so much.
const TOLERANCE: f64 = 0.05;

/// The longest time that Claude Code waits.
const WAIT_SECONDS: u64 = 60;

/// Headers that the provider's own answers have.
const PROVIDERS: [&str; 3] = ["anthropic-organization-id", "cf-ray", "anthropic-ratelimit-requests-limit"];

/// A finding for each rule.
pub(crate) fn judge(survey: &Survey, plan: &Plan) -> Vec<Finding> {
    let ground = if survey.refused_upstream == Some(false) { Ground::Proven } else { Ground::Inferred };
    let mut findings = vec![figure(survey, plan, ground)];
    match &survey.refused {
        Some(refused) => findings.extend([
            source(survey, refused),
            isolation(survey),
            shape(refused),
            retry_after(survey, refused),
            headers(survey, refused),
        ]),
        None => {
            let rules = [&SOURCE, &ISOLATION, &LIMIT_SHAPE, &RETRY_AFTER, &HEADERS];
            findings.extend(rules.map(|rule| Finding::unknown(rule, "nothing was refused")));
        }
    }
    for finding in &mut findings {
        finding.took = survey.took;
    }
    findings
}

fn figure(survey: &Survey, plan: &Plan, ground: Ground) -> Finding {
    let seconds = survey.took.as_secs_f64();
    let asked = format!("{} requests in {seconds:.1} s", survey.calls);
    if let Some(trouble) = &survey.trouble {
        return Finding::unknown(&FIGURE, trouble.clone()).with("sent", asked);
    }
    let finding = match survey.estimate {
        Estimate::Limit(limit) => limited(&limit, plan, ground),
        Estimate::NoLimit { calls, took } => unlimited(survey, plan, calls, took),
        Estimate::Unfinished(gap) => Finding::unknown(&FIGURE, unfinished(survey, gap)),
    };
    let mut finding = finding.with("sent", asked);
    if let Some(at_once) = survey.at_once {
        finding.says = format!("{at_once} requests at once, whatever their rate; {}", finding.says);
    }
    finding
}

/// A limit was found: whether it is the one that was spoken of.
fn limited(limit: &Limit, plan: &Plan, ground: Ground) -> Finding {
    let says = describe(limit, plan);
    let range = format!("{:.1} to {:.1} a minute", limit.range.0, limit.range.1);
    let Some(claim) = plan.claim else {
        return Finding::pass(&FIGURE, ground, says).with("by the calls", range);
    };
    let claimed = f64::from(claim.requests()) * 60.0 / plan.window.as_secs_f64();
    let off = limit.per_minute / claimed - 1.0;
    let finding = if off.abs() <= TOLERANCE {
        Finding::pass(&FIGURE, ground, says)
    } else if limit.range.0 <= claimed && claimed <= limit.range.1 {
        Finding::unknown(&FIGURE, format!("{says}: what was asked for may be it, and could not be told"))
    } else {
        let word = if off > 0.0 { "more" } else { "less" };
        let says = format!("{says}: {:.0} % {word} than was said", off.abs() * 100.0);
        Finding::fail(&FIGURE, ground, says)
            .cure("set the limit of the gateway to what its clients were told, or tell them what it is")
    };
    finding.with("by the calls", range)
}

/// A limit in words.
fn describe(limit: &Limit, plan: &Plan) -> String {
    let unit = match plan.claim {
        Some(Claim::Tokens(tokens)) => Some(tokens as f64 / TOKEN_SHARES as f64),
        _ => None,
    };
    let amount = |requests: f64| match unit {
        Some(tokens) => format!("{:.0} tokens", requests * tokens),
        None => format!("{requests:.0} requests"),
    };
    let (Some(window), burst) = (limit.window, limit.burst) else {
        let minute = amount(limit.per_minute);
        return format!("{minute} a minute, up to {} at once (a bucket)", limit.burst);
    };
    let kind = match limit.kind {
        Kind::FixedWindow => "a fixed window",
        Kind::ClockWindow => "a window by the clock",
        Kind::SlidingWindow => "a sliding window",
        Kind::SlidingCounter => "a sliding window of two counters",
        Kind::Bucket => "a bucket",
    };
    let refused = if limit.counts_refused { ", in which refused requests count" } else { "" };
    format!("{} in {:.1} s ({kind}{refused})", amount(f64::from(burst)), window.as_secs_f64())
}

fn unlimited(survey: &Survey, plan: &Plan, calls: u32, took: Duration) -> Finding {
    let mut none = format!("no limit found up to {calls} requests in {:.1} s", took.as_secs_f64());
    match survey.at_once {
        None => {}
        Some(..4) => none.push_str(", one after the other"),
        Some(at_once) => none.push_str(&format!(", {} at once", at_once / 2)),
    }
    if let Some(count) = survey.one_connection {
        let says = format!("each connection is counted by itself: {none}, and one connection has {count}");
        return Finding::fail(&FIGURE, Ground::Inferred, says)
            .cure("count by the client's credential: clients open as many connections as they like");
    }
    // Slower than the limit, one can not meet it.
    let claimed = plan.claim.map(|claim| f64::from(claim.requests()) / plan.window.as_secs_f64());
    match claimed {
        Some(claimed) if f64::from(calls) > claimed * took.as_secs_f64().max(plan.window.as_secs_f64()) => {
            Finding::fail(&FIGURE, Ground::Inferred, none)
                .cure("switch the limit on, for every credential and every path of the Messages API")
        }
        None if survey.at_once.is_some() => Finding::pass(&FIGURE, Ground::Inferred, none),
        _ => Finding::unknown(&FIGURE, none),
    }
}

fn unfinished(survey: &Survey, gap: Gap) -> String {
    let admitted = survey.log.iter().filter(|call| call.is_admitted).count();
    let why = match gap {
        Gap::Stopped => "it was stopped",
        Gap::Calls => "no more requests may be sent (--max-requests)",
        Gap::Shut => "the gateway refuses everything for too long (--max-wait)",
        Gap::Time => "it takes longer than four times --max-wait",
        Gap::CountsRefused { asked, quiet, admitted } => {
            return format!(
                "refused requests count: nothing was let in for {:.0} s while it was asked again, and {admitted} \
                 requests after {:.0} s without one; so the figure can not be told",
                asked.as_secs_f64(),
                quiet.as_secs_f64()
            );
        }
        Gap::Strange => "what was let in fits no kind of limit that is known",
    };
    let refused = survey.log.len() - admitted;
    format!("{why}; {admitted} requests were let in and {refused} refused until then")
}

/// Whose refusal it is: by the probe that saw the request or did not, else by the marks of the provider.
fn source(survey: &Survey, refused: &Answer) -> Finding {
    let marks: Vec<&str> = PROVIDERS.into_iter().filter(|name| refused.header(name).is_some()).collect();
    let request_id = refused.header("request-id").is_some_and(|id| id.starts_with("req_"));
    let finding = match survey.refused_upstream {
        Some(false) => {
            Finding::pass(&SOURCE, Ground::Proven, "the gateway refuses, before the upstream is asked")
        }
        Some(true) => Finding::fail(
            &SOURCE,
            Ground::Proven,
            "what was refused had been sent to the upstream all the same",
        ),
        None if request_id && !marks.is_empty() => Finding::fail(
            &SOURCE,
            Ground::Inferred,
            format!("the provider refuses, as {} and its request-id say", marks.join(", ")),
        )
        .cure("give the gateway a limit of its own that is below the provider's"),
        None if marks.is_empty() && !request_id => Finding::pass(
            &SOURCE,
            Ground::Inferred,
            "the gateway refuses: the answer has no mark of the provider",
        ),
        None => {
            Finding::unknown(&SOURCE, "the gateway or the provider refuses: the answer looks like either's")
        }
    };
    finding.with("answered", head(refused))
}

fn isolation(survey: &Survey) -> Finding {
    match survey.second {
        None if survey.at_once.is_some() => Finding::unknown(
            &ISOLATION,
            "it takes a second credential (--second-token-env), and requests that are under way for a while",
        ),
        None => Finding::unknown(&ISOLATION, "it takes a second credential (--second-token-env)"),
        Some((sent, admitted)) if admitted == sent => {
            let says = "while one credential is refused, another is let in";
            Finding::pass(&ISOLATION, Ground::Proven, says)
        }
        Some((sent, admitted)) => {
            let says = format!(
                "while one credential is refused, {} of {sent} requests of another are, too",
                sent - admitted
            );
            Finding::fail(&ISOLATION, Ground::Proven, says)
                .cure("count by the credential or by its owner, not by address, route or service")
        }
    }
}

fn shape(refused: &Answer) -> Finding {
    let body: Value = serde_json::from_slice(&refused.body()).unwrap_or_default();
    let kind = body["error"]["type"].as_str();
    let is_envelope = body["type"] == "error" && body["error"]["message"].is_string();
    let final_stop = refused.header("x-should-retry") == Some("false");
    let says = match refused.header("retry-after").map(|value| (value, value.trim().parse::<u64>())) {
        _ if refused.status != 429 => format!("it is refused with status {}, not 429", refused.status),
        _ if !is_envelope => "it is refused in a form that is not the API's".to_owned(),
        _ if kind != Some("rate_limit_error") => {
            format!("it is refused as {}, not rate_limit_error", kind.unwrap_or("nothing"))
        }
        None if !final_stop => "there is no retry-after".to_owned(),
        Some((value, Err(_))) => format!("retry-after is no whole number of seconds: {value}"),
        Some((_, Ok(0))) => "retry-after says 0 s: clients try again at once".to_owned(),
        Some((_, Ok(seconds))) if seconds > WAIT_SECONDS && !final_stop => {
            format!("retry-after says {seconds} s, and Claude Code waits {WAIT_SECONDS} s at most")
        }
        Some((_, Ok(seconds))) if seconds <= WAIT_SECONDS && final_stop => {
            "x-should-retry says false, and there is room in a minute".to_owned()
        }
        _ => {
            let says = "it is refused with 429 in the API's form, with a retry-after";
            return Finding::pass(&LIMIT_SHAPE, Ground::Proven, says).with("answered", head(refused));
        }
    };
    Finding::fail(&LIMIT_SHAPE, Ground::Proven, says).with("answered", head(refused)).cure(
        "answer 429 with {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":...}} and a \
         retry-after of 1 to 60",
    )
}

fn retry_after(survey: &Survey, refused: &Answer) -> Finding {
    let Some(value) = refused.header("retry-after") else {
        return Finding::unknown(&RETRY_AFTER, "there is no retry-after");
    };
    if survey.at_once.is_some() && matches!(survey.estimate, Estimate::NoLimit { .. }) {
        let says = "there is room as soon as a request ends, which no refusal can know";
        return Finding::unknown(&RETRY_AFTER, says).with("retry-after", value);
    }
    let finding = match promise(&survey.log) {
        Promise::Broken { said, waited } => Finding::fail(
            &RETRY_AFTER,
            Ground::Proven,
            format!("it says {said} s, and who waited {:.1} s was refused", waited.as_secs_f64()),
        )
        .cure("compute it from the limit: the seconds until there is room, rounded up"),
        Promise::Exceeded { said, waited } => Finding::fail(
            &RETRY_AFTER,
            Ground::Proven,
            format!("it says {said} s, and who waited {:.1} s was let in", waited.as_secs_f64()),
        )
        .cure("compute it from the limit: the seconds until there is room, rounded up"),
        Promise::Kept => {
            Finding::pass(&RETRY_AFTER, Ground::Proven, "who waits as long as it says is let in")
        }
        Promise::Unseen => Finding::unknown(&RETRY_AFTER, "nobody waited as long as it says"),
    };
    finding.with("retry-after", value)
}

/// What became of the first refusal's promise that is decisive.
#[derive(Debug, PartialEq)]
enum Promise {
    /// Who waited so long was refused.
    Broken { said: u64, waited: Duration },
    /// Who waited much less was let in.
    Exceeded { said: u64, waited: Duration },
    /// It was kept.
    Kept,
    /// Nobody waited.
    Unseen,
}

/// Holds each refusal against the next request that was let in, and against those before it that were not.
fn promise(log: &[Call]) -> Promise {
    let mut calls = log.to_vec();
    calls.sort_by_key(|call| call.sent_at);
    let mut promise = Promise::Unseen;
    for (index, call) in calls.iter().enumerate() {
        let (false, Some(said)) = (call.is_admitted, call.retry_after) else { continue };
        // It is counted from its answer, and a call on its way may be overtaken.
        let slack = (call.answered_at.saturating_sub(call.sent_at) * 2).max(Duration::from_millis(50));
        let wait = Duration::from_secs(said);
        let mut is_overtaken = false;
        for later in &calls[index + 1..] {
            let waited = later.sent_at.saturating_sub(call.answered_at);
            if !later.is_admitted {
                if waited > wait + slack && !is_overtaken {
                    return Promise::Broken { said, waited };
                }
                continue;
            }
            // What was sent before the refusal came waited for nothing, and may have taken the room that was promised.
            if later.sent_at <= call.answered_at {
                is_overtaken = true;
                continue;
            }
            if waited + Duration::from_secs(1) + slack < wait {
                return Promise::Exceeded { said, waited };
            }
            promise = Promise::Kept;
            break;
        }
    }
    promise
}

/// Whether a refusal tells the client the limit that it has.
fn headers(survey: &Survey, refused: &Answer) -> Finding {
    const NAME: &str = "anthropic-ratelimit-requests-limit";
    let Some(told) = refused.header(NAME) else {
        return Finding::pass(&HEADERS, Ground::Proven, "refusals do not tell the limit, and need not");
    };
    let Estimate::Limit(limit) = &survey.estimate else {
        return Finding::unknown(&HEADERS, "refusals tell a limit, and none was found");
    };
    let figure = limit.window.map_or(limit.per_minute, |_| f64::from(limit.burst));
    let is_true = told.trim().parse().is_ok_and(|told: f64| (told / figure - 1.0).abs() <= TOLERANCE);
    let says = format!("{NAME} says {told}, and {figure:.0} is the limit");
    if is_true {
        Finding::pass(&HEADERS, Ground::Proven, says)
    } else {
        Finding::fail(&HEADERS, Ground::Proven, says)
            .cure("remove the provider's headers from refusals, or write the client's own figures there")
    }
}

fn head(answer: &Answer) -> String {
    let named = ["retry-after", "x-should-retry", "request-id", "content-type"];
    let headers = named.iter().filter_map(|name| Some(format!("{name}: {}", answer.header(name)?)));
    let headers: Vec<String> = headers.collect();
    format!("status {}, {}: {}", answer.status, headers.join(", "), answer.text())
}

#[cfg(test)]
mod tests;
