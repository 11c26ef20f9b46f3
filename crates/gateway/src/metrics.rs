//! Figures for Prometheus. Every label takes its values from a closed set; model names, which clients choose,
//! are counted by name only while there are few, and as `other` beyond.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tollgate_policy::entry::{Outcome, Settled};
use tollgate_policy::scope::Name;
use tollgate_store::journal::JournalState;
use tollgate_wire::endpoint::Endpoint;

use crate::answer::Failure;

/// Model names that get a series of their own.
const MODELS: usize = 64;
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    outcome: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabel {
    endpoint: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    model: String,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AllowanceLabel {
    allowance: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ThresholdLabels {
    allowance: String,
    percent: u8,
}

type Durations = Family<EndpointLabel, Histogram, fn() -> Histogram>;

/// All figures of one gateway.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    refused: Family<CodeLabel, Counter>,
    total: Durations,
    upstream: Durations,
    gateway: Durations,
    tokens: Family<TokenLabels, Counter>,
    cost: Family<ModelLabel, Counter>,
    estimated: Counter,
    unknown_price: Counter,
    overdrawn: Family<AllowanceLabel, Counter>,
    thresholds: Family<ThresholdLabels, Counter>,
    braked: Counter,
    reserved: Gauge,
    open: Gauge,
    connections: Gauge,
    reloads: Family<CodeLabel, Counter>,
    journal: JournalGauges,
    models: Mutex<HashSet<String>>,
}

#[derive(Default)]
struct JournalGauges {
    writable: Gauge,
    written: Gauge,
    synced: Gauge,
    unsynced_ms: Gauge,
    backlog: Gauge,
    open: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("tollgate");
        let histogram = || Durations::new_with_constructor(|| Histogram::new(SECONDS));
        let metrics = Metrics {
            requests: Family::default(),
            refused: Family::default(),
            total: histogram(),
            upstream: histogram(),
            gateway: histogram(),
            tokens: Family::default(),
            cost: Family::default(),
            estimated: Counter::default(),
            unknown_price: Counter::default(),
            overdrawn: Family::default(),
            thresholds: Family::default(),
            braked: Counter::default(),
            reserved: Gauge::default(),
            open: Gauge::default(),
            connections: Gauge::default(),
            reloads: Family::default(),
            journal: JournalGauges::default(),
            models: Mutex::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register("requests", "Requests that were admitted and have ended", metrics.requests.clone());
        r.register("refused", "Requests that the gateway refused, by reason", metrics.refused.clone());
        let seconds = |r: &mut Registry, name, help, family: &Durations| {
            r.register_with_unit(name, help, Unit::Seconds, family.clone());
        };
        seconds(r, "request_duration", "From the request's head to the answer's last byte", &metrics.total);
        seconds(
            r,
            "upstream_duration",
            "From sending a request upstream to the end of its answer",
            &metrics.upstream,
        );
        seconds(r, "gateway_duration", "What the gateway added before sending upstream", &metrics.gateway);
        r.register("tokens", "Tokens used, by serving model and class", metrics.tokens.clone());
        r.register(
            "cost_nano_usd",
            "Cost in billionths of a US dollar, by serving model",
            metrics.cost.clone(),
        );
        r.register(
            "usage_estimated",
            "Answers without final usage, booked by the floor rule",
            metrics.estimated.clone(),
        );
        r.register("price_unknown", "Answers of models without a known price", metrics.unknown_price.clone());
        metrics.register_books(r);
        r.register("open_requests", "Requests under way", metrics.open.clone());
        r.register("connections", "Client connections", metrics.connections.clone());
        r.register("config_reloads", "Reloads of the configuration, by result", metrics.reloads.clone());
        metrics.journal.register(r);
        Metrics { registry, ..metrics }
    }

    fn register_books(&self, r: &mut Registry) {
        r.register("overdrawn", "Requests refused by an allowance", self.overdrawn.clone());
        r.register("threshold_passed", "Thresholds of allowances that were passed", self.thresholds.clone());
        r.register("sessions_braked", "Sessions paused by a brake", self.braked.clone());
        r.register("reservations", "Requests that hold a part of an allowance", self.reserved.clone());
    }

    /// An allowance had no room for a request. Allowances are named by operators, so there are as many series as they
    /// wish.
    pub(crate) fn overdrawn(&self, allowance: &Name) {
        self.overdrawn.get_or_create_owned(&AllowanceLabel { allowance: allowance.to_string() }).inc();
    }

    /// An allowance passed a threshold.
    pub(crate) fn threshold_passed(&self, allowance: &Name, percent: u8) {
        let labels = ThresholdLabels { allowance: allowance.to_string(), percent };
        self.thresholds.get_or_create_owned(&labels).inc();
    }

    /// A brake paused a session.
    pub(crate) fn braked(&self) {
        self.braked.inc();
    }

    /// A request was admitted.
    pub(crate) fn entered(&self) {
        self.open.inc();
    }

    /// The record of an admission was refused after all.
    pub(crate) fn left_unrecorded(&self) {
        self.open.dec();
    }

    /// A request ended.
    pub(crate) fn settled(&self, settled: &Settled, endpoint: Endpoint, upstream: Option<Duration>) {
        self.open.dec();
        let endpoint = endpoint.as_str();
        let labels = RequestLabels {
            endpoint,
            outcome: outcome(settled.outcome),
            status: settled.status.map_or("none", status_class),
        };
        self.requests.get_or_create_owned(&labels).inc();
        let label = EndpointLabel { endpoint };
        let total = Duration::from_millis(settled.ms_total);
        self.total.get_or_create_owned(&label).observe(total.as_secs_f64());
        if let Some(upstream) = upstream {
            self.upstream.get_or_create_owned(&label).observe(upstream.as_secs_f64());
            self.gateway.get_or_create_owned(&label).observe(total.saturating_sub(upstream).as_secs_f64());
        }
        self.estimated.inc_by(u64::from(settled.estimated));
        self.unknown_price.inc_by(u64::from(settled.unknown_price));
        self.count_usage(settled);
    }

    fn count_usage(&self, settled: &Settled) {
        let usage = &settled.usage;
        let classes = [
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cache_read", usage.cache_read_tokens),
            ("cache_write_5m", usage.cache_write_5m_tokens),
            ("cache_write_1h", usage.cache_write_1h_tokens),
        ];
        if settled.cost.0 == 0 && classes.iter().all(|(_, tokens)| *tokens == 0) {
            return;
        }
        let model = match settled.served_model.as_ref().or(settled.model.as_ref()) {
            // A name without a price may be anything that a client wrote.
            _ if settled.unknown_price => "other".to_owned(),
            model => self.model_label(model),
        };
        for (class, tokens) in classes {
            if tokens > 0 {
                self.tokens.get_or_create_owned(&TokenLabels { model: model.clone(), class }).inc_by(tokens);
            }
        }
        self.cost
            .get_or_create_owned(&ModelLabel { model })
            .inc_by(u64::try_from(settled.cost.0).unwrap_or(0));
    }

    fn model_label(&self, model: Option<&String>) -> String {
        let Some(model) = model else {
            return "none".into();
        };
        let mut known = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(model) {
            return model.clone();
        }
        if known.len() == MODELS {
            return "other".into();
        }
        known.insert(model.clone());
        model.clone()
    }

    /// A request was refused.
    pub(crate) fn refused(&self, failure: &Failure, _endpoint: Endpoint) {
        self.refused_head(failure);
    }

    /// A request was refused before it could be told which endpoint it is for.
    pub(crate) fn refused_head(&self, failure: &Failure) {
        self.refused.get_or_create_owned(&CodeLabel { code: failure.code() }).inc();
    }

    /// A connection was refused for there are too many.
    pub(crate) fn refused_connection(&self) {
        self.refused.get_or_create_owned(&CodeLabel { code: "too_many_connections" }).inc();
    }

    /// The configuration was, or was not, taken over.
    pub(crate) fn reloaded(&self, applied: bool) {
        let code = if applied { "applied" } else { "refused" };
        self.reloads.get_or_create_owned(&CodeLabel { code }).inc();
    }

    /// The exposition in OpenMetrics text, with the state of this moment.
    pub(crate) fn expose(&self, journal: &JournalState, connections: usize, reserved: usize) -> String {
        self.reserved.set(reserved as i64);
        self.connections.set(connections as i64);
        self.journal.set(journal);
        let mut out = String::new();
        // Writing into a string never fails.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

impl JournalGauges {
    fn register(&self, registry: &mut Registry) {
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("journal_writable", "1 while the journal takes entries", &self.writable);
        gauge("journal_written_seq", "Last entry handed to the kernel", &self.written);
        gauge("journal_synced_seq", "Last entry known to be on the disk", &self.synced);
        gauge(
            "journal_unsynced_ms",
            "Age of the oldest entry that is not on the disk yet",
            &self.unsynced_ms,
        );
        gauge(
            "journal_backlog",
            "Settlements that the disk refused and that are kept in memory",
            &self.backlog,
        );
        gauge("journal_open", "Admitted requests that are not settled yet", &self.open);
    }

    fn set(&self, state: &JournalState) {
        self.writable.set(i64::from(state.writable));
        self.written.set(state.written_seq as i64);
        self.synced.set(state.synced_seq as i64);
        self.unsynced_ms.set(state.unsynced_ms as i64);
        self.backlog.set(state.backlog as i64);
        self.open.set(state.open as i64);
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Aborted => "aborted",
        Outcome::Cut => "cut",
        Outcome::UpstreamError => "upstream_error",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}

fn status_class(status: u16) -> &'static str {
    match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        429 => "429",
        529 => "529",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
