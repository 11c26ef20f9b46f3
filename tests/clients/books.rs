//! The gateway's books against the simulator's, and against what must not have gone upstream.

use tollgate_acceptance::House;
use tollgate_acceptance::house::UPSTREAM_KEY;

/// How many entries of a kind the journal must hold.
pub(crate) struct Books {
    pub(crate) settled: usize,
    pub(crate) denied: usize,
}

/// Waits for the entries; then requires that tokens are booked by model as the simulator says it served them, and
/// that no request that reached it carried another credential than the upstream's.
pub(crate) async fn agree(house: &House, books: Books) {
    let settled = house.wait_for("settled", books.settled).await;
    assert_eq!(settled.len(), books.settled, "{settled:#?}");
    let denied = house.wait_for("denied", books.denied).await;
    assert_eq!(denied.len(), books.denied, "{denied:#?}");
    let rows = house.usage("model").await;
    for (model, tokens) in &house.simulator.record().served().by_model {
        let row =
            rows.iter().find(|row| row["model"] == *model).unwrap_or_else(|| panic!("{model}: {rows:#?}"));
        let booked = ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"]
            .map(|name| row[name].as_u64());
        let served =
            [tokens.input, tokens.output, tokens.cache_read, tokens.cache_write_5m + tokens.cache_write_1h];
        assert_eq!(booked, served.map(Some), "{model}");
    }
    for seen in house.simulator.record().requests() {
        assert_eq!(seen.header("x-api-key"), Some(UPSTREAM_KEY), "{} {:?}", seen.target, seen.headers);
        let leaks = |(name, value): &&(String, String)| {
            name.eq_ignore_ascii_case("authorization") || value.contains("tg_")
        };
        assert_eq!(seen.headers.iter().find(leaks), None, "{}", seen.target);
    }
}
