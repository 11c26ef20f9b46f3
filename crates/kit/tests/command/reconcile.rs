//! `tollgate reconcile`.

use crate::run::{Gateway, Simulator, message, run, text};
use serde_json::Value;
use std::fs;

const HEADS: &str = "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,\
    usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,\
    usage_input_tokens_cache_read,usage_output_tokens,web_search_count,inference_geo,speed";

#[test]
fn the_ledger_is_laid_beside_the_account_of_the_provider() {
    let simulator = Simulator::start();
    let gateway = Gateway::start(&simulator.url);
    let key = gateway.key("red");
    for _ in 0..2 {
        message(&gateway.clients, &key, "usage=in:1000,out:200,cr:30,c5:4,c1:5");
    }
    let report = gateway.run(&["usage", "report", "--by", "day", "--format", "json"]);
    let report: Value = serde_json::from_str(&report.out).unwrap();
    let day = report["rows"][0]["day"].as_str().unwrap();
    assert_eq!(report["rows"].as_array().unwrap().len(), 1, "this test ran over midnight");

    let folder = tempfile::tempdir().unwrap();
    let usage = folder.path().join("usage.csv");
    let row = |input: u64| {
        format!("{HEADS}\n{day},claude-opus-5,gateway,Default,standard,200k,{input},8,10,60,400,0,global,\n")
    };
    let reconcile =
        |more: &[&str]| gateway.run(&[&["reconcile", "--provider-file", text(&usage)], more].concat());

    fs::write(&usage, row(2000)).unwrap();
    let equal = reconcile(&[]);
    assert_eq!((equal.status, equal.err.as_str()), (0, ""), "{}", equal.out);
    assert_eq!(
        equal.out.replace(day, "DAY"),
        "equal: 1 groups of DAY\n  input        provider 2000, ledger 2000\n  output       provider 400, ledger 400\n  \
         cache_write  provider 18, ledger 18\n  cache_read   provider 60, ledger 60\n"
    );
    // 20 180 000 = 2 x (1 000 x 5 000 + 200 x 25 000 + 30 x 500 + 4 x 6 250 + 5 x 10 000) nano-dollars, 2.018 cents.
    let cost = folder.path().join("cost.json");
    let page = |cents: &str| {
        format!(
            r#"{{"data": [{{"starting_at": "{day}T00:00:00Z", "ending_at": "{day}T23:59:59Z", "results": [{{
                "amount": "{cents}", "currency": "USD", "model": "claude-opus-5", "cost_type": "tokens"}}]}}],
                "has_more": false, "next_page": null}}"#
        )
    };
    fs::write(&cost, page("2.018")).unwrap();
    let both = reconcile(&["--provider-file", text(&cost), "--tolerance", "0"]);
    assert_eq!(both.status, 0, "{}{}", both.out, both.err);
    assert!(both.out.contains("cost         provider $0.02018, ledger $0.02018"), "{}", both.out);

    fs::write(&usage, row(3000)).unwrap();
    fs::write(&cost, page("1.009")).unwrap();
    let files = ["--provider-file", text(&cost)];
    let differs = reconcile(&files);
    assert_eq!(differs.status, 1);
    insta::assert_snapshot!(differs.out.replace(day, "2026-11-02"));
    let sheet = reconcile(&[&files[..], &["--format", "csv"]].concat());
    insta::assert_snapshot!(sheet.out.replace(day, "2026-11-02"));
    let json: Value =
        serde_json::from_str(&reconcile(&[&files[..], &["--format", "json"]].concat()).out).unwrap();
    assert_eq!(json["differences"][0]["reason"], "past_the_gateway");
    assert_eq!(json["ledger"]["cost_nano_usd"], 20_180_000);
    assert_eq!(reconcile(&["--tolerance", "40"]).status, 0);

    let rows: [(&[&str], &str); 3] = [
        (&["--to", "2026-01-01"], "tell of no day between"),
        (&["--key", "anthropic=another"], "no row of the export is of the key another"),
        (&["--key", "anthropic=another"], "2 requests went to upstreams that are not compared"),
    ];
    for (args, says) in rows {
        let nothing = reconcile(args);
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
