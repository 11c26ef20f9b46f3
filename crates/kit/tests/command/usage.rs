//! `tollgate usage`.

use crate::run::{Gateway, Simulator, message};
use serde_json::Value;

#[test]
fn usage_is_reported_for_people_spreadsheets_and_programs() {
    let simulator = Simulator::start();
    let gateway = Gateway::start(&simulator.url);
    assert_eq!(gateway.run(&["usage", "report"]).out, "no requests\n");
    for (team, directives) in [
        ("red", "usage=in:1000,out:200,cr:30,c5:4,c1:5"),
        ("red", "status=529"),
        ("blue", "usage=in:1,out:1,cr:0,c5:0,c1:0"),
    ] {
        message(&gateway.clients, &gateway.key(team), directives);
    }
    let report = |more: &[&str]| {
        let args: Vec<&str> = ["usage", "report", "--by", "team,model"].iter().chain(more).copied().collect();
        let report = gateway.run(&args);
        assert_eq!((report.status, report.err.as_str()), (0, ""));
        report.out
    };
    insta::assert_snapshot!(report(&[]));
    insta::assert_snapshot!(report(&["--format", "csv"]));
    let rows: Value = serde_json::from_str(&report(&["--format", "json"])).unwrap();
    assert_eq!(rows["rows"].as_array().unwrap().len(), 2);

    assert_eq!(report(&["--to", "2026-01-01"]), "no requests\n");
    assert_eq!(report(&["--from", "2026-01-01T00:00:00Z"]), report(&[]));
    assert_eq!(report(&["--from", "9999-01-01"]), "no requests\n");
    let by_day = gateway.run(&["usage", "report", "--by", "day,outcome"]).out;
    assert!(by_day.contains("upstream_error") && by_day.contains("complete"), "{by_day}");
}
