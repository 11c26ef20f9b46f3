//! The gateway's books against the simulator's, and against what must not have gone upstream.

use tollgate_acceptance::House;
use tollgate_acceptance::house::UPSTREAM_KEY;
use tollgate_simulator::Seen;

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
    let reached = seen(house).await;
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
    for seen in reached {
        let is_credential =
            |name: &str| ["authorization", "x-api-key"].contains(&&*name.to_ascii_lowercase());
        let credentials: Vec<_> = seen.headers.iter().filter(|(name, _)| is_credential(name)).collect();
        assert_eq!(credentials, [&("x-api-key".to_owned(), UPSTREAM_KEY.to_owned())], "{}", seen.target);
        assert!(!seen.headers.iter().any(|(_, value)| value.contains("tg_")), "{:?}", seen.headers);
    }
}

/// What reached the simulator. A client may be done a moment before the simulator has noted the end of its request,
/// so this waits until none is under way.
pub(crate) async fn seen(house: &House) -> Vec<Seen> {
    let record = house.simulator.record();
    record.idle().await;
    record.requests()
}
