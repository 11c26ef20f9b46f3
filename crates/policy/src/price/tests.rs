//! Prices: what a bill must be, to the nano-dollar.

use super::*;

mod bodies;
mod laws;
mod rerated;
mod shown;
mod written;

/// 2026-11-22, after every date in the built-in book.
const NOW: UnixMs = UnixMs(1_795_347_000_123);
const MILLION: u64 = 1_000_000;

fn tokens(counts: [u64; RATE_CLASSES]) -> Usage {
    let [input_tokens, output_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens] =
        counts;
    Usage {
        input_tokens,
        output_tokens,
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        cache_read_tokens,
        ..Usage::default()
    }
}

fn sale<'a>(model: &'a str, usage: &'a Usage) -> Sale<'a> {
    Sale { requested_model: model, model, upstream: "", usage, at: NOW, batch: false, regional: false }
}

fn order<'a>(models: &'a [&'a str], input_tokens: u64, output_tokens: u64) -> Order<'a> {
    Order { models, upstreams: &[], at: NOW, input_tokens, output_tokens, fast: false, inferences: 1 }
}

fn cost(model: &str, usage: &Usage) -> NanoUsd {
    PriceBook::builtin().cost(&sale(model, usage)).amount
}

fn instant(text: &str) -> UnixMs {
    text.parse().unwrap()
}

#[test]
fn a_million_tokens_cost_what_the_vendor_lists() {
    // Dollars in thousandths for a million tokens: input, output, 5 min write, 1 h write, read.
    let rows = [
        ("claude-fable-5-2", [8_000, 40_000, 10_000, 16_000, 200]),
        ("claude-fable-5-1", [10_000, 50_000, 12_500, 20_000, 250]),
        ("claude-mythos-5-1", [10_000, 50_000, 12_500, 20_000, 250]),
        ("claude-fable-5", [10_000, 50_000, 12_500, 20_000, 1_000]),
        ("claude-opus-5-5", [4_000, 20_000, 5_000, 8_000, 200]),
        ("claude-opus-5", [5_000, 25_000, 6_250, 10_000, 500]),
        ("claude-opus-4-5-20251101", [5_000, 25_000, 6_250, 10_000, 500]),
        ("claude-sonnet-5-5", [2_000, 10_000, 2_500, 4_000, 100]),
        ("claude-sonnet-5", [2_000, 10_000, 2_500, 4_000, 200]),
        ("claude-sonnet-4-6", [3_000, 15_000, 3_750, 6_000, 300]),
        ("claude-haiku-4-5-20251001", [1_000, 5_000, 1_250, 2_000, 100]),
        ("claude-3-5-haiku-20241022", [800, 4_000, 1_000, 1_600, 80]),
        ("claude-opus-4-1-20250805", [15_000, 75_000, 18_750, 30_000, 1_500]),
    ];
    for (model, expected) in rows {
        // A hundred thousand of each alone, so that no prompt counts as a long one.
        for (class, thousandths) in Class::TOKENS.into_iter().zip(expected) {
            let mut counts = [0; RATE_CLASSES];
            counts[class as usize] = MILLION / 10;
            assert_eq!(cost(model, &tokens(counts)), NanoUsd(thousandths * 100_000), "{model} {class:?}");
        }
    }
}

#[test]
fn one_token_at_the_cheapest_rate_is_exact() {
    assert_eq!(cost("claude-haiku-5-5", &tokens([0, 0, 0, 0, 1])), NanoUsd(10));
    let usage = tokens([0, 0, 0, 0, 1]);
    let batch = Sale { batch: true, ..sale("claude-haiku-5-5", &usage) };
    assert_eq!(PriceBook::builtin().cost(&batch).amount, NanoUsd(5));
    // 10 x 0.5 x 1.1 = 5.5: half a nano-dollar is rounded up.
    let batch_in_region = Sale { regional: true, ..batch };
    assert_eq!(PriceBook::builtin().cost(&batch_in_region).amount, NanoUsd(6));
}

#[test]
fn a_long_prompt_lifts_the_whole_request_and_all_of_the_prompt_counts() {
    let rows = [
        // input, output, 5 min, 1 h, read                   nano-dollars
        ([100_000, 1_000, 0, 0, 0], 100_000 * 100 + 1_000 * 500),
        ([100_001, 1_000, 0, 0, 0], 100_001 * 500 + 1_000 * 2_500),
        ([1, 1_000, 50_000, 0, 49_999], 100 + 500_000 + 50_000 * 125 + 49_999 * 10),
        ([2, 1_000, 50_000, 0, 49_999], 1_000 + 2_500_000 + 50_000 * 625 + 49_999 * 50),
        ([0, 0, 0, 100_001, 0], 100_001 * 1_000),
        ([0, 0, 0, 0, 100_001], 100_001 * 50),
        // Output does not make a prompt long.
        ([0, 200_000, 0, 0, 0], 200_000 * 500),
    ];
    for (counts, expected) in rows {
        assert_eq!(cost("claude-haiku-5-5", &tokens(counts)), NanoUsd(expected), "{counts:?}");
    }
}

#[test]
fn a_rate_holds_from_the_first_instant_of_its_day() {
    let usage = tokens([0, 0, 0, 0, MILLION]);
    let rows = [
        ("2020-01-01T00:00:00.000Z", 200_000_000),
        ("2026-10-06T23:59:59.999Z", 200_000_000),
        ("2026-10-07T00:00:00.000Z", 100_000_000),
        ("2027-01-01T00:00:00.000Z", 100_000_000),
    ];
    for (at, expected) in rows {
        let sale = Sale { at: instant(at), ..sale("claude-sonnet-5-5", &usage) };
        assert_eq!(PriceBook::builtin().cost(&sale).amount, NanoUsd(expected), "{at}");
    }
}

#[test]
fn multipliers_apply_where_they_belong() {
    let plain = tokens([1_000, 1_000, 0, 0, 0]);
    let with = |change: fn(&mut Usage)| {
        let mut usage = plain.clone();
        change(&mut usage);
        usage
    };
    let fast = with(|usage| usage.speed = Some("fast".to_owned()));
    let standard = with(|usage| usage.speed = Some("standard".to_owned()));
    let us = with(|usage| usage.inference_geo = Some("us".to_owned()));
    let global = with(|usage| usage.inference_geo = Some("global".to_owned()));
    let tier = with(|usage| usage.service_tier = Some("batch".to_owned()));
    let fast_us = with(|usage| {
        usage.speed = Some("fast".to_owned());
        usage.inference_geo = Some("us".to_owned());
    });
    let (no, yes) = (false, true);
    // Opus 5: 1 000 input and 1 000 output tokens are $0.03 plain. The factor in hundredths.
    let rows = [
        ("claude-opus-5", &plain, no, no, 100),
        ("claude-opus-5", &plain, yes, no, 50),
        ("claude-opus-5", &tier, no, no, 50),
        ("claude-opus-5", &plain, no, yes, 110),
        ("claude-opus-5", &plain, yes, yes, 55),
        ("claude-opus-5", &fast, no, no, 200),
        ("claude-opus-5", &standard, no, no, 100),
        ("claude-opus-5", &us, no, no, 110),
        ("claude-opus-5", &global, no, no, 100),
        ("claude-opus-5", &fast_us, no, no, 220),
        // No batch discount on the faster serving; one premium for place, not two.
        ("claude-opus-5", &fast, yes, no, 200),
        ("claude-opus-5", &us, no, yes, 110),
        // Ids that name a region or the faster serving.
        ("us.anthropic.claude-opus-5", &plain, no, no, 110),
        ("global.anthropic.claude-opus-5", &plain, no, no, 100),
        ("anthropic.claude-opus-5", &plain, no, no, 100),
        ("claude-opus-5-fast", &plain, no, no, 200),
        ("claude-opus-5-fast", &standard, no, no, 100),
        // A model with no factor of its own takes the book's.
        ("claude-opus-4-7", &fast, no, no, 200),
        // The premium for the US began with 4.6, the one for regions with 4.5.
        ("claude-opus-4-6", &us, no, no, 110),
        ("claude-opus-4-5", &us, no, no, 100),
        ("claude-opus-4-5", &plain, no, yes, 110),
    ];
    for (model, usage, batch, regional, hundredths) in rows {
        let sale = Sale { batch, regional, ..sale(model, usage) };
        let found = PriceBook::builtin().cost(&sale).amount;
        assert_eq!(found, NanoUsd(300_000 * hundredths), "{sale:?}");
    }
    // An unknown model: $15 and $75, and every factor at its largest.
    let unknown = Sale { regional: true, ..sale("mystery", &fast) };
    assert_eq!(PriceBook::builtin().cost(&unknown).amount, NanoUsd(90_000_000 * 22 / 10));
    // A region in the id of the serving model counts too.
    let serving = Sale { requested_model: "alias", ..sale("eu.anthropic.claude-opus-5", &plain) };
    assert_eq!(PriceBook::builtin().cost(&serving).amount, NanoUsd(33_000_000));
    let older = Sale { regional: true, ..sale("claude-opus-4-1", &plain) };
    assert_eq!(
        PriceBook::builtin().cost(&older).amount,
        NanoUsd(90_000_000),
        "before 4.5 no premium for regions"
    );
    // A region in the requested id counts although the answer names the model without it.
    let requested = Sale { requested_model: "eu.anthropic.claude-opus-5", ..sale("claude-opus-5", &plain) };
    assert_eq!(PriceBook::builtin().cost(&requested).amount, NanoUsd(33_000_000));
}

#[test]
fn iterations_are_priced_each_by_its_model_and_the_totals_left_aside() {
    let iteration = |kind: &str, model: Option<&str>, input_tokens, output_tokens| Iteration {
        kind: kind.to_owned(),
        model: model.map(str::to_owned),
        input_tokens,
        output_tokens,
        ..Iteration::default()
    };
    let usage = Usage {
        iterations: vec![
            iteration("compaction", None, 50_000, 1_000),
            iteration("message", None, 2_000, 500),
            iteration("advisor_message", Some("claude-opus-5"), 1_000, 100),
        ],
        web_search_requests: 3,
        // The totals leave the compaction and the advisor out.
        ..tokens([2_000, 500, 0, 0, 0])
    };
    let priced = PriceBook::builtin().price(&sale("claude-sonnet-5", &usage));
    let sonnet = 52_000 * 2_000 + 1_500 * 10_000;
    let opus = 1_000 * 5_000 + 100 * 25_000;
    assert_eq!(priced.cost, NanoUsd(sonnet + opus + 3 * 10_000_000));
    let shown: Vec<_> = priced.lines.iter().map(Line::to_string).collect();
    assert_eq!(
        shown,
        [
            "claude-sonnet-5 input: 50000 x $2.00/million x 1 = $0.10",
            "claude-sonnet-5 output: 1000 x $10.00/million x 1 = $0.01",
            "claude-sonnet-5 input: 2000 x $2.00/million x 1 = $0.004",
            "claude-sonnet-5 output: 500 x $10.00/million x 1 = $0.005",
            "claude-opus-5 input: 1000 x $5.00/million x 1 = $0.005",
            "claude-opus-5 output: 100 x $25.00/million x 1 = $0.0025",
            "claude-sonnet-5 web_search: 3 x $10000.00/million x 1 = $0.03",
        ]
    );
    assert!(!priced.unknown_model);

    // Each inference has a prompt of its own: two short ones are not a long one.
    let twice = Usage {
        iterations: vec![iteration("message", None, 60_000, 0), iteration("message", None, 60_000, 0)],
        ..tokens([120_000, 0, 0, 0, 0])
    };
    assert_eq!(cost("claude-haiku-5-5", &twice), NanoUsd(120_000 * 100));
    // Iterations that count nothing do not make a request free.
    let hollow = Usage { iterations: vec![Iteration::default()], ..tokens([1_000, 0, 0, 0, 0]) };
    assert_eq!(cost("claude-sonnet-5", &hollow), NanoUsd(2_000_000));
    // An advisor that is in no book is priced high and flagged, whatever the main model is.
    let strange =
        Usage { iterations: vec![iteration("advisor_message", Some("x"), 1, 0)], ..Usage::default() };
    let cost = PriceBook::builtin().cost(&sale("claude-sonnet-5", &strange));
    assert_eq!(cost, Cost { amount: NanoUsd(15_000), unknown_model: true });
}

#[test]
fn server_tools_are_priced_without_the_multipliers_on_tokens() {
    let usage = Usage {
        web_search_requests: 1_000,
        web_fetch_requests: 1_000,
        code_execution_requests: 12,
        speed: Some("fast".to_owned()),
        inference_geo: Some("us".to_owned()),
        ..Usage::default()
    };
    let sale = Sale { batch: true, ..sale("claude-opus-5", &usage) };
    // $10 for the searches, nothing for the fetches, an hour of container time for twelve times five
    // minutes.
    assert_eq!(PriceBook::builtin().cost(&sale).amount, NanoUsd(10_000_000_000 + 50_000_004));
}

#[test]
fn the_model_that_served_is_priced_and_the_requested_one_only_if_it_is_not_named() {
    let usage = tokens([1_000, 0, 0, 0, 0]);
    let rows = [
        ("claude-opus-5", "claude-haiku-4-5-20251001", 1_000_000, false),
        ("claude-opus-5", "", 5_000_000, false),
        ("claude-opus-5", "claude-new-9", 15_000_000, true),
        ("my-alias", "claude-opus-5", 5_000_000, false),
        ("my-alias", "", 15_000_000, true),
        ("", "", 15_000_000, true),
        ("CLAUDE-OPUS-5", "", 5_000_000, false),
    ];
    for (requested_model, model, amount, unknown_model) in rows {
        let sale = Sale { requested_model, model, ..sale("", &usage) };
        let expected = Cost { amount: NanoUsd(amount), unknown_model };
        assert_eq!(PriceBook::builtin().cost(&sale), expected, "{requested_model} {model}");
    }
    assert!(PriceBook::builtin().knows("us.anthropic.claude-opus-4-5-20251101-v1:0", NOW, ""));
    assert!(!PriceBook::builtin().knows("claude-new-9", NOW, ""));
}

#[test]
fn a_reservation_covers_the_worst_of_the_model() {
    let book = PriceBook::builtin();
    let rows = [
        // Everything written for an hour, everything written out, at the regional premium.
        ("claude-opus-5", 1_000, 1_000, (10_000 + 25_000) * 1_100),
        ("claude-opus-4-1", 1_000, 1_000, (30_000 + 75_000) * 1_000),
        // It has a premium for regions and none for the US.
        ("claude-opus-4-5", 1_000, 1_000, (10_000 + 25_000) * 1_100),
        ("claude-haiku-5-5", 100_000, 0, 200 * 110_000),
        ("claude-haiku-5-5", 100_001, 0, 100_001 * 1_100),
        ("no-such-model", 1_000, 1_000, (30_000 + 75_000) * 1_100),
        ("claude-opus-5", 0, 0, 0),
        // What no model can read or write is not set aside.
        ("claude-opus-5", u64::MAX, u64::MAX, (10_000 + 25_000) * 1_100_000),
    ];
    for (model, input, output, expected) in rows {
        let found = book.reservation(&order(&[model], input, output));
        assert_eq!(found, NanoUsd(expected), "{model} {input} {output}");
    }
}

#[test]
fn a_reservation_takes_the_dearest_of_what_may_happen() {
    let contract = PriceBook::parse(bodies::CONTRACT).unwrap();
    let plain = order(&["claude-opus-5"], 1_000, 1_000);
    let in_2027 = instant("2027-01-01T00:00:00.000Z");
    let opus = (10_000 + 25_000) * 1_100;
    let rows: [(&str, Order<'_>, i64); 11] = [
        ("plain", plain, opus),
        ("fast is asked for; the book's factor is 2", Order { fast: true, ..plain }, 2 * opus),
        ("fast is in an id", order(&["claude-opus-5-fast"], 1_000, 1_000), 2 * opus),
        ("a dearer fallback", Order { models: &["claude-opus-5", "claude-opus-4-1"], ..plain }, 105_000_000),
        ("a cheaper one", Order { models: &["claude-opus-5", "claude-sonnet-5-5"], ..plain }, opus),
        ("no name: any model", Order { models: &[], ..plain }, 105_000 * 1_100),
        ("two inferences", Order { inferences: 2, ..plain }, 2 * opus),
        ("none is one", Order { inferences: 0, ..plain }, opus),
        // 35 000 x 1.1 x 0.925 and, at the reseller's rates without a premium, 28 000 x 0.925 x 1.2.
        ("the contract of the day", Order { at: in_2027, ..plain }, 35_612_500 + 500),
        ("an upstream of the day", Order { at: in_2027, upstreams: &["reseller"], ..plain }, 31_080_000),
        (
            "the dearer of two upstreams",
            Order { at: in_2027, upstreams: &["reseller", "elsewhere"], ..plain },
            35_612_500 + 500,
        ),
    ];
    for (what, order, expected) in rows {
        assert_eq!(contract.reservation(&order), NanoUsd(expected), "{what}");
    }
    // Sums are held at what an amount can hold.
    let endless = Order { inferences: u32::MAX, ..order(&[], u64::MAX, u64::MAX) };
    assert_eq!(contract.reservation(&endless), NanoUsd(i64::MAX));
}

#[test]
fn input_is_bounded_by_bytes_and_images() {
    let rows = [
        (0, 0, 4_000),
        (2_000, 0, 6_000),
        (2_000, 3, 21_000),
        (996_000, 0, 1_000_000),
        (996_001, 0, PROMPT_TOKENS_MAX),
        (0, u64::MAX, PROMPT_TOKENS_MAX),
        (u64::MAX, u64::MAX, PROMPT_TOKENS_MAX),
    ];
    for (body_bytes, media, expected) in rows {
        assert_eq!(input_bound(body_bytes, media), expected, "{body_bytes} {media}");
    }
}

#[test]
fn a_count_out_of_this_world_is_priced_as_the_highest_that_is_booked() {
    let book = PriceBook::builtin();
    let cost = |count| book.cost(&sale("claude-opus-5", &tokens([count; RATE_CLASSES]))).amount;
    assert_eq!(cost(9_000_000_000_000_000_000), cost(COUNT_MAX));
    assert!(cost(COUNT_MAX - 1) < cost(COUNT_MAX));
    // A thousand of them still add up.
    assert!(cost(u64::MAX).0 < i64::MAX / 1000);
}

#[test]
fn a_stream_that_was_cut_has_a_floor() {
    let reported = tokens([12, 3, 0, 0, 40_000]);
    let rows = [
        // What was reported, characters seen, body bytes, and the floor's input and output.
        (Some(&reported), 0, 9_999, 12, 3),
        (Some(&reported), 12, 9_999, 12, 3),
        (Some(&reported), 13, 9_999, 12, 4),
        (Some(&reported), 4_001, 9_999, 12, 1_001),
        (None, 0, 0, 0, 0),
        (None, 0, 1, 1, 0),
        (None, 5, 4_001, 1_001, 2),
        (None, 0, 32 << 20, 1_000_000, 0),
        (None, u64::MAX, u64::MAX, 1_000_000, u64::MAX / 4 + 1),
    ];
    for (reported, text_chars, body_bytes, input, output) in rows {
        let found = floor(reported, text_chars, body_bytes);
        let expected =
            Usage { input_tokens: input, output_tokens: output, ..reported.cloned().unwrap_or_default() };
        assert_eq!(found, expected, "{text_chars} {body_bytes}");
    }
    // With iterations the missing output goes where it is priced.
    let iteration = Iteration { input_tokens: 10, output_tokens: 5, ..Iteration::default() };
    let usage = Usage { iterations: vec![iteration.clone(), iteration.clone()], ..Usage::default() };
    let found = floor(Some(&usage), 100, 9_999);
    assert_eq!(found.iterations[1].output_tokens, 20);
    assert_eq!(found.iterations[0], iteration);
    // Iterations without a prompt account for nothing; their output is kept.
    let hollow = Usage {
        iterations: vec![Iteration { output_tokens: 9, ..Iteration::default() }],
        ..Usage::default()
    };
    assert_eq!(floor(Some(&hollow), 4, 400), tokens([100, 9, 0, 0, 0]));
}
