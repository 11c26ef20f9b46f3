//! `tollgate reconcile`.

use crate::run::{Gateway, Ran, Simulator, message, run, text};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

const HEADS: &str = "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,\
    usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,\
    usage_input_tokens_cache_read,usage_output_tokens,web_search_count,inference_geo,speed";

/// A gateway that has served one request, and a folder for exports of its day.
struct Books {
    gateway: Gateway,
    day: String,
    exports: TempDir,
    _simulator: Simulator,
}

impl Books {
    /// 2 000 x 5 000 + 400 x 25 000 + 60 x 500 + 8 x 6 250 + 10 x 10 000 nano-dollars, that is 2.018 cents.
    fn open() -> Self {
        let simulator = Simulator::start();
        let gateway = Gateway::start(&simulator.url);
        message(&gateway.clients, &gateway.key("red"), "usage=in:2000,out:400,cr:60,c5:8,c1:10");
        let report = gateway.run(&["usage", "report", "--by", "day", "--format", "json"]);
        let report: Value = serde_json::from_str(&report.out).unwrap();
        let day = report["rows"][0]["day"].as_str().unwrap().to_owned();
        Self { gateway, day, exports: tempfile::tempdir().unwrap(), _simulator: simulator }
    }

    /// The Console's file of usage.
    fn usage(&self, input: u64) -> String {
        let row =
            format!("{},claude-opus-5,gateway,Default,standard,200k,{input},8,10,60,400,0,global,", self.day);
        self.file("usage.csv", &format!("{HEADS}\n{row}\n"))
    }

    /// The cost report of the Admin API.
    fn cost(&self, cents: &str) -> String {
        let day = &self.day;
        let page = format!(
            r#"{{"data": [{{"starting_at": "{day}T00:00:00Z", "ending_at": "{day}T23:59:59Z", "results": [{{
                "amount": "{cents}", "currency": "USD", "model": "claude-opus-5", "cost_type": "tokens"}}]}}],
                "has_more": false, "next_page": null}}"#
        );
        self.file("cost.json", &page)
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.exports.path().join(name);
        fs::write(&path, content).unwrap();
        text(&path).to_owned()
    }

    fn reconcile(&self, files: &[&str], more: &[&str]) -> Ran {
        let files = files.iter().flat_map(|file| ["--provider-file", file]);
        let args: Vec<&str> = ["reconcile"].into_iter().chain(files).chain(more.iter().copied()).collect();
        self.gateway.run(&args)
    }
}

#[test]
fn what_the_provider_tells_too_is_equal() {
    let books = Books::open();
    let usage = books.usage(2000);
    let equal = books.reconcile(&[&usage], &[]);
    assert_eq!((equal.status, equal.err.as_str()), (0, ""), "{}", equal.out);
    assert_eq!(
        equal.out.replace(&books.day, "DAY"),
        "equal: 1 groups of DAY\n  input        provider 2000, ledger 2000\n  output       provider 400, ledger 400\n  \
         cache_write  provider 18, ledger 18\n  cache_read   provider 60, ledger 60\n"
    );
    let both = books.reconcile(&[&usage, &books.cost("2.018")], &["--tolerance", "0"]);
    assert_eq!(both.status, 0, "{}{}", both.out, both.err);
    assert!(both.out.contains("cost         provider $0.02018, ledger $0.02018"), "{}", both.out);
}

#[test]
fn what_the_provider_tells_otherwise_is_listed_with_a_reason() {
    let books = Books::open();
    let files = [books.usage(3000), books.cost("1.009")];
    let reconcile = |more: &[&str]| books.reconcile(&[&files[0], &files[1]], more);
    let differs = reconcile(&[]);
    assert_eq!(differs.status, 1);
    insta::assert_snapshot!(differs.out.replace(&books.day, "2026-11-02"));
    insta::assert_snapshot!(reconcile(&["--format", "csv"]).out.replace(&books.day, "2026-11-02"));
    let json: Value = serde_json::from_str(&reconcile(&["--format", "json"]).out).unwrap();
    assert_eq!(json["differences"][0]["reason"], "past_the_gateway");
    assert_eq!(json["ledger"]["cost_nano_usd"], 20_180_000);
    assert_eq!(reconcile(&["--tolerance", "49"]).status, 1);
    assert_eq!(reconcile(&["--tolerance", "50"]).status, 0);
}

#[test]
fn nothing_is_not_equal() {
    let books = Books::open();
    let usage = books.usage(2000);
    let rows: [(&[&str], &str); 3] = [
        (&["--to", "2026-01-01"], "tell of no day between"),
        (&["--key", "nowhere=another"], "no row of the export is of the key another"),
        (&["--key", "nowhere=another"], "1 requests went to upstreams that are not compared"),
    ];
    for (args, says) in rows {
        let nothing = books.reconcile(&[&usage], args);
        assert_eq!(
            (nothing.status, nothing.out.lines().next()),
            (1, Some("NOTHING was compared")),
            "{args:?}"
        );
        assert!(nothing.err.contains(says), "{args:?}: {}", nothing.err);
    }
}

#[test]
fn what_can_not_be_reconciled_is_said_before_a_gateway_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("november.csv");
    let path = text(&file);
    fs::write(&file, format!("{HEADS}\n2026-11-02,m,k,w,standard,200k,many,0,0,0,0,0,global,\n")).unwrap();
    let broken = run(&["reconcile", "--provider-file", path]);
    assert_eq!((broken.status, broken.out.as_str()), (2, ""));
    assert!(
        broken.err.contains("line 2 usage_input_tokens_no_cache: \"many\" is no whole number"),
        "{}",
        broken.err
    );
    assert!(broken.err.contains("cure: export it again"), "{}", broken.err);

    fs::write(&file, format!("{HEADS}\n2026-11-02,m,k,w,standard,200k,1,0,0,0,0,0,global,\n")).unwrap();
    let twice = run(&["reconcile", "--provider-file", path, "--provider-file", path]);
    assert!(twice.status == 2 && twice.err.contains("tells of this day already"), "{}", twice.err);
    let large = fs::File::create(folder.path().join("large")).unwrap();
    large.set_len((64 << 20) + 1).unwrap();
    let large = run(&["reconcile", "--provider-file", text(&folder.path().join("large"))]);
    assert!(large.status == 2 && large.err.contains("larger than"), "{}", large.err);
    let data = text(folder.path());
    let alone = run(&["reconcile", "--provider-file", path, "--data", data]);
    assert!(alone.status == 3 && alone.err.contains("no gateway runs"), "{}", alone.err);

    for (args, says) in [
        (&[][..], "--provider-file"),
        (&["--provider-file", path, "--tolerance", "1%"], "as in 0.5"),
        (&["--provider-file", path, "--from", "november"], "as in 2026-11-01"),
        (&["--provider-file", path, "--key", "anthropic=sk-ant-api03-canary"], "give its id"),
    ] {
        let refused = run(&[&["reconcile"], args].concat());
        assert!(refused.status == 2 && refused.err.contains(says), "{args:?}: {}", refused.err);
    }
}
