//! Whether two gateways answer alike. What was asked more than once is alike if both gave the same set of answers, and
//! different if no answer of one is among those of the other; what comes and goes can not be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    time::Duration,
};

use super::{
    rules::{
        ANSWER, ARRIVAL, END, ERROR, EVENTS, HEADERS, MESSAGE, MODEL, MODELS, OTHERS, STATUS, STOP, TABLE,
        TIME, TOKENS, TYPE,
    },
    traits::{Form, Traits},
};
use crate::finding::{Finding, Ground::Inferred, Outcome, Rule};

/// One request, and what came of it on both sides, each time that it was sent.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) name: String,
    /// Whether a model was asked for a message.
    pub(super) is_message: bool,
    pub(super) old: Vec<Result<Traits, String>>,
    pub(super) new: Vec<Result<Traits, String>>,
}

/// A limit refused the request: that says nothing about it.
const LIMITED: u16 = 429;
/// The credential is not known, or there is none (<https://platform.claude.com/docs/en/api/errors>).
const UNKNOWN_CREDENTIAL: u16 = 401;
/// A stream that comes within less shows nothing of how it is relayed; it is held back if it comes within so small a
/// part of the time that it takes on the other side.
const SPREAD_MIN: Duration = Duration::from_millis(300);
const HELD_PARTS: u32 = 10;
/// Headers that clients obey or quote; those of a family begin so.
const OBEYED: [&str; 4] = ["request-id", "retry-after", "retry-after-ms", "x-should-retry"];
const OBEYED_FAMILY: &str = "anthropic-ratelimit-";
/// Headers of one connection, and how long a body is.
const FRAMING: [&str; 6] =
    ["connection", "content-length", "date", "keep-alive", "trailer", "transfer-encoding"];
const CURE: &str =
    "Run `tollgate check` against both: it names what breaks this, and the cure in the product's words.";

/// What came of one rule for all requests: sentences, each with the requests of which it is true.
#[derive(Debug, Default)]
struct Tally {
    alike: usize,
    differs: BTreeMap<String, Vec<String>>,
    untold: BTreeMap<String, Vec<String>>,
}

/// What is said of one request and one rule.
enum Said {
    Alike,
    Differs(String),
    Untold(String),
}

#[derive(Debug, Default)]
struct Book(BTreeMap<&'static str, Tally>);

/// The findings about these, in the order of the rules. A rule to which nothing applies is left out, unless it decides.
pub(super) fn findings(pairs: &[Pair]) -> Vec<Finding> {
    let mut book = Book::default();
    pairs.iter().for_each(|pair| book.compare(pair));
    let mut findings: Vec<Finding> = TABLE.iter().filter_map(|rule| book.finding(rule)).collect();
    let refused: Vec<String> = pairs.iter().filter_map(refused).collect();
    if let Some(status) = findings.iter_mut().find(|finding| finding.rule == &STATUS && !refused.is_empty()) {
        if matches!(status.outcome, Outcome::Pass(_)) && is_never_answered(pairs) {
            *status = Finding::unknown(&STATUS, "both refuse every message, so no answer was compared")
                .cure(refusal_cure(pairs));
        }
        status.says.push_str(&format!("; refused by both: {}", refused.join(", ")));
    }
    findings.extend(time(pairs));
    findings
}

/// A request that both refuse, with the status.
fn refused(pair: &Pair) -> Option<String> {
    let statuses = |side| answered(side).iter().map(|traits| traits.status).collect::<BTreeSet<_>>();
    let (old, new) = (statuses(&pair.old), statuses(&pair.new));
    let status = old.first().filter(|status| old.len() == 1 && old == new && **status >= 400)?;
    Some(format!("{} ({status})", pair.name))
}

/// Whether neither of them has answered a message; nor anything else, if no message was asked for.
fn is_never_answered(pairs: &[Pair]) -> bool {
    let is_answered = |pair: &Pair| {
        answered(&pair.old).iter().chain(&answered(&pair.new)).any(|traits| traits.status < 400)
    };
    let asks = pairs.iter().any(|pair| pair.is_message);
    !pairs.iter().filter(|pair| pair.is_message == asks).any(is_answered)
}

/// What to do where both refuse every message: give a credential to those that say they know none.
fn refusal_cure(pairs: &[Pair]) -> String {
    let knows_nobody = |side: fn(&Pair) -> &Vec<Result<Traits, String>>| {
        pairs.iter().flat_map(side).flatten().any(|traits| traits.status == UNKNOWN_CREDENTIAL)
    };
    let sides = [
        (knows_nobody(|pair| &pair.old), "the old gateway (--against-token-env)"),
        (knows_nobody(|pair| &pair.new), "the new gateway (--token-env)"),
    ];
    let sides: Vec<&str> =
        sides.iter().filter_map(|(knows_nobody, which)| knows_nobody.then_some(*which)).collect();
    if sides.is_empty() {
        return "Ask for what both answer: look at the URLs, the model (--model) and what the credentials may do."
            .to_owned();
    }
    format!(
        "Give a credential that is taken by {}: 401 says that this one is not. `tollgate doctor auth` tells why.",
        sides.join(" and by ")
    )
}

fn answered(side: &[Result<Traits, String>]) -> Vec<&Traits> {
    side.iter().filter_map(|one| one.as_ref().ok()).collect()
}

impl Book {
    fn say(&mut self, rule: &'static Rule, name: &str, said: Said) {
        let tally = self.0.entry(rule.id).or_default();
        match said {
            Said::Alike => tally.alike += 1,
            Said::Differs(text) => tally.differs.entry(text).or_default().push(name.to_owned()),
            Said::Untold(text) => tally.untold.entry(text).or_default().push(name.to_owned()),
        }
    }

    /// Says whether these values are the same. What neither side has is not looked at.
    fn same<T: Ord + Display>(
        &mut self,
        rule: &'static Rule,
        name: &str,
        old: BTreeSet<T>,
        new: BTreeSet<T>,
    ) {
        if old.is_empty() && new.is_empty() {
            return;
        }
        let said = if old == new {
            Said::Alike
        } else if old.is_disjoint(&new) {
            Said::Differs(format!("{} of the old, {} of the new", words(&old), words(&new)))
        } else {
            Said::Untold(format!("it comes and goes: {} of the old, {} of the new", words(&old), words(&new)))
        };
        self.say(rule, name, said);
    }

    fn compare(&mut self, pair: &Pair) {
        let name = pair.name.as_str();
        for (side, which) in [(&pair.old, "old"), (&pair.new, "new")] {
            for fault in side.iter().filter_map(|one| one.as_ref().err()) {
                self.say(&STATUS, name, Said::Untold(format!("no answer of the {which}: {fault}")));
            }
            if answered(side).iter().any(|traits| traits.status == LIMITED) {
                self.say(&STATUS, name, Said::Untold(format!("a limit of the {which} refuses it with 429")));
            }
        }
        let (old, new) = (answered(&pair.old), answered(&pair.new));
        let unlimited =
            |side: &[&Traits]| side.iter().map(|one| one.status).filter(|one| *one != LIMITED).collect();
        let statuses: (BTreeSet<u16>, BTreeSet<u16>) = (unlimited(&old), unlimited(&new));
        if !statuses.0.is_empty() && !statuses.1.is_empty() {
            self.same(&STATUS, name, statuses.0, statuses.1);
        }
        // Answers with different statuses differ in everything else.
        let with = |side: &[&Traits], one: &Traits| side.iter().any(|other| other.status == one.status);
        let (old, new): (Vec<&Traits>, Vec<&Traits>) = (
            old.iter().copied().filter(|one| with(&new, one)).collect(),
            new.iter().copied().filter(|one| with(&old, one)).collect(),
        );
        if !old.is_empty() && !new.is_empty() {
            self.answers(name, &old, &new);
        }
    }

    /// Compares answers with the same status.
    fn answers(&mut self, name: &str, old: &[&Traits], new: &[&Traits]) {
        let types = |side: &[&Traits]| set(side, |one| Some(one.media_type.clone()));
        self.headers(name, old, new);
        self.same(&TYPE, name, types(old), types(new));
        let kinds = |side: &[&Traits]| set(side, |one| one.error.as_ref().map(|error| error.kind.clone()));
        self.same(&ERROR, name, kinds(old), kinds(new));
        if types(old).is_disjoint(&types(new)) {
            return;
        }
        let messages = |side: &[&Traits]| set(side, |one| one.error.as_ref()?.message.clone());
        if !messages(old).is_empty() && !messages(new).is_empty() {
            self.same(&MESSAGE, name, messages(old), messages(new));
        }
        let ends = |side: &[&Traits]| set(side, |one| Some(one.end));
        self.same(&END, name, ends(old), ends(new));
        let events = |side: &[&Traits]| set(side, |one| one.events.clone());
        self.same(&EVENTS, name, events(old), events(new));
        let reasons = |side: &[&Traits]| set(side, |one| one.stop_reason.clone());
        self.same(&STOP, name, reasons(old), reasons(new));
        let models = |side: &[&Traits]| set(side, |one| one.model.clone());
        self.same(&MODEL, name, models(old), models(new));
        let tokens = |side: &[&Traits]| set(side, |one| one.input_tokens);
        self.same(&TOKENS, name, tokens(old), tokens(new));
        self.form(name, old, new);
        self.models(name, old, new);
        self.arrival(name, old, new);
    }

    fn headers(&mut self, name: &str, old: &[&Traits], new: &[&Traits]) {
        // What all answers of one side have and none of the other.
        let only = |these: &[&Traits], those: &[&Traits]| -> Vec<String> {
            let always = |name: &&String| these.iter().all(|one| one.headers.contains(*name));
            let names = these[0].headers.iter().filter(always);
            names.filter(|name| those.iter().all(|one| !one.headers.contains(*name))).cloned().collect()
        };
        let is_obeyed = |name: &String| OBEYED.contains(&name.as_str()) || name.starts_with(OBEYED_FAMILY);
        let (gone, added) = (only(old, new), only(new, old));
        let (obeyed, gone): (Vec<_>, Vec<_>) = gone.into_iter().partition(is_obeyed);
        if obeyed.is_empty() {
            self.say(&HEADERS, name, Said::Alike);
        }
        for header in obeyed {
            self.say(&HEADERS, name, Said::Differs(format!("`{header}` is missing")));
        }
        for (names, which) in [(gone, "old"), (added, "new")] {
            for header in names.iter().filter(|name| !FRAMING.contains(&name.as_str())) {
                self.say(&OTHERS, name, Said::Differs(format!("only the {which} sends `{header}`")));
            }
        }
    }

    fn form(&mut self, name: &str, old: &[&Traits], new: &[&Traits]) {
        let form = |side: &[&Traits]| {
            let forms = side.iter().filter(|one| one.status < 300 && one.end == "whole");
            forms.filter_map(|one| one.form.as_ref()).fold(None, |joined: Option<Form>, form| {
                let mut joined = joined.unwrap_or_default();
                joined.join(form);
                Some(joined)
            })
        };
        let said = match (form(old), form(new)) {
            (Some(old), Some(new)) => {
                let mut found = Vec::new();
                old.differences(&new, "", &mut found);
                if found.is_empty() {
                    vec![Said::Alike]
                } else {
                    found.into_iter().map(Said::Differs).collect()
                }
            }
            (Some(_), None) => vec![Said::Differs("no whole JSON of the new".to_owned())],
            (None, Some(_)) => vec![Said::Untold("no whole JSON of the old".to_owned())],
            (None, None) => Vec::new(),
        };
        said.into_iter().for_each(|said| self.say(&ANSWER, name, said));
    }

    fn models(&mut self, name: &str, old: &[&Traits], new: &[&Traits]) {
        let listed = |side: &[&Traits]| -> BTreeSet<String> {
            side.iter().filter_map(|one| one.models.clone()).flatten().collect()
        };
        let (old, new) = (listed(old), listed(new));
        if old.is_empty() && new.is_empty() {
            return;
        }
        for (side, other, what) in [(&old, &new, "missing"), (&new, &old, "added")] {
            for id in side.difference(other) {
                self.say(&MODELS, name, Said::Differs(format!("`{id}` is {what}")));
            }
        }
        if old == new {
            self.say(&MODELS, name, Said::Alike);
        }
    }

    /// How long the model takes differs each time, but not by that much.
    fn arrival(&mut self, name: &str, old: &[&Traits], new: &[&Traits]) {
        let spreads = |side: &[&Traits]| set(side, |one| one.spread);
        let (Some(old), Some(new)) = (spreads(old).first().copied(), spreads(new).last().copied()) else {
            return;
        };
        let said = if old < SPREAD_MIN {
            Said::Untold(format!("the stream of the old comes within {} ms", old.as_millis()))
        } else if new * HELD_PARTS < old {
            Said::Differs(format!(
                "over {} ms of the old, within {} ms of the new",
                old.as_millis(),
                new.as_millis()
            ))
        } else {
            Said::Alike
        };
        self.say(&ARRIVAL, name, said);
    }

    fn finding(&mut self, rule: &'static Rule) -> Option<Finding> {
        let Some(tally) = self.0.remove(rule.id) else {
            let says = "no request came to an answer that could be compared";
            return rule.is_decisive.then(|| Finding::unknown(rule, says));
        };
        let requests = |count: usize| format!("{count} request{}", if count == 1 { "" } else { "s" });
        let of =
            |rows: &BTreeMap<String, Vec<String>>| rows.values().flatten().collect::<BTreeSet<_>>().len();
        let (finding, rows) = if !tally.differs.is_empty() {
            let says = format!("different for {}, alike for {}", requests(of(&tally.differs)), tally.alike);
            (Finding::fail(rule, Inferred, says).cure(CURE), tally.differs)
        } else if !tally.untold.is_empty() {
            let says =
                format!("can not be told for {}, alike for {}", requests(of(&tally.untold)), tally.alike);
            (Finding::unknown(rule, says), tally.untold)
        } else {
            (Finding::pass(rule, Inferred, format!("alike for {}", requests(tally.alike))), BTreeMap::new())
        };
        let row = |finding: Finding, (text, names): (String, Vec<String>)| {
            finding.with("where", format!("{}: {text}", names.join(", ")))
        };
        Some(rows.into_iter().take(ROWS_MAX).fold(finding, row))
    }
}

/// The most sentences about one rule.
const ROWS_MAX: usize = 20;

fn set<T: Ord>(side: &[&Traits], of: impl Fn(&Traits) -> Option<T>) -> BTreeSet<T> {
    side.iter().filter_map(|one| of(one)).collect()
}

fn words<T: Display>(values: &BTreeSet<T>) -> String {
    if values.is_empty() {
        return "none".to_owned();
    }
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// Both medians, of what was answered well.
fn time(pairs: &[Pair]) -> Option<Finding> {
    let median = |side: fn(&Pair) -> &Vec<Result<Traits, String>>| {
        let good =
            pairs.iter().flat_map(side).filter_map(|one| one.as_ref().ok()).filter(|one| one.status < 300);
        let mut times: Vec<Duration> = good.map(|one| one.first_byte).collect();
        times.sort_unstable();
        times.get(times.len() / 2).map(Duration::as_millis)
    };
    let (old, new) = (median(|pair| &pair.old)?, median(|pair| &pair.new)?);
    Some(Finding::pass(&TIME, Inferred, format!("{old} ms of the old, {new} ms of the new, in the median")))
}
