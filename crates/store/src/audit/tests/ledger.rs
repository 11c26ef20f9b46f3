//! A ledger that is not what the journal says is found out.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tollgate_policy::entry::Adjusted;
use tollgate_policy::unit::NanoUsd;

use super::{alter, verdict};
use crate::fixture::{NOW, folder, open, options, request, serve};
use crate::folder::LEDGER;
use crate::register::Closing;

#[test]
fn whatever_is_altered_in_the_ledger_shows() {
    let rows = [
        ("UPDATE usage_2026_11 SET ms_total = 1 WHERE seq = 4", "requests of 2026-11: 20 of $"),
        ("UPDATE usage_2026_11 SET settled_at = settled_at + 1 WHERE seq = 4", "requests of 2026-11"),
        ("UPDATE dims SET cost_centre = 'x'", "the daily sums of requests"),
        ("UPDATE daily SET cost_low = cost_low - 1", "the daily sums of requests"),
        ("UPDATE daily SET day = day - 1", "the daily sums of requests"),
        (
            "INSERT INTO daily SELECT 7, dims, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM daily",
            "the daily sums",
        ),
        ("UPDATE daily_coarse SET cost_low = cost_low - 1", "the daily_coarse sums of requests"),
        ("UPDATE daily_coarse SET adjusted_low = 0", "the daily_coarse sums of adjustments"),
        ("UPDATE monthly SET output_tokens = 0", "the monthly sums of requests"),
        ("UPDATE sessions SET session = 'mine'", "the sessions sums of requests"),
        ("DELETE FROM sessions", "the sessions sums of requests"),
        ("UPDATE monthly SET adjusted_low = 0", "the monthly sums of adjustments"),
        ("UPDATE sessions SET adjustments = 7 WHERE adjustments = 1", "the sessions sums of adjustments"),
        ("UPDATE adjustments SET reason = 'x'", "adjustments: 1 of $0.000000009, in the journal 1 of"),
        ("DELETE FROM adjustments", "adjustments: 0 of $0.00, in the journal 1 of"),
        ("UPDATE statements SET total_nano_usd = 8", "statements: 1 of $0.000000008, in the journal 1 of"),
        ("UPDATE days SET booked_upto = 7", "where the days are"),
        ("DELETE FROM days", "where the days are"),
        ("DROP TABLE usage_2026_11", "cannot be compared"),
        ("ALTER TABLE usage_2026_11 RENAME TO usage_2026_12", "cannot be compared"),
        ("CREATE TABLE usage_2026_12 (seq INTEGER PRIMARY KEY) STRICT", "cannot be compared"),
        ("CREATE TABLE usage_mine (seq INTEGER PRIMARY KEY) STRICT", "cannot be compared"),
        ("CREATE VIEW v AS SELECT * FROM daily", "cannot be compared"),
        ("DROP INDEX usage_2026_11_by_request", "cannot be compared"),
    ];
    let (_folder, data) = folder_with_adjustment();
    let path = data.join(LEDGER);
    let original = fs::read(&path).unwrap();
    assert!(verdict(&data).is_proven(), "{:?}", verdict(&data));
    for (sql, expected) in rows {
        alter(&data, sql);
        let report = verdict(&data);
        assert_eq!(report.fault, None, "{sql}");
        assert!(report.doubts.iter().any(|doubt| doubt.contains(expected)), "{sql}: {:?}", report.doubts);
        fs::write(&path, &original).unwrap();
    }
}

/// A data folder, closed, with an adjustment and a statement.
fn folder_with_adjustment() -> (TempDir, PathBuf) {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    (0..20).for_each(|number| serve(&store, number));
    let record = store.ledger.request(request(3)).unwrap().record.unwrap();
    let adjusted = Adjusted {
        by: "finance".into(),
        request: record.request,
        settled: record.seq,
        booked_at: record.at,
        key: record.attribution.key,
        scope: record.attribution.scope,
        cost_centre: None,
        model: record.attribution.model,
        upstream: record.attribution.upstream,
        difference: NanoUsd(9),
        cost: NanoUsd(9),
        price_version: "2026-12-01".into(),
        reason: "a contract".into(),
    };
    store.register.adjust(vec![adjusted], NOW).unwrap();
    let closing = Closing {
        period: "2026-11".into(),
        from: NOW,
        to: NOW,
        upto: 4,
        total: NanoUsd(7),
        text: "text".into(),
    };
    store.register.close_statement("finance", &closing, NOW).unwrap();
    store.close(NOW).unwrap();
    (folder, options.data)
}
