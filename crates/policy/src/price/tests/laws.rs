//! What holds for every price.

use proptest::prelude::*;

use super::*;

const MODELS: [&str; 6] = [
    "claude-opus-5",
    "claude-haiku-5-5",
    "claude-sonnet-4-5",
    "us.anthropic.claude-opus-4-6-v1",
    "mystery",
    "",
];

/// Models that may serve, an id of each spelling that changes the price among them.
const CANDIDATES: [&str; 10] = [
    "claude-opus-5",
    "claude-haiku-5-5",
    "claude-sonnet-4-5",
    "claude-sonnet-5-5",
    "claude-opus-4-1",
    "us.anthropic.claude-opus-4-6-v1",
    "claude-opus-5-fast",
    "prod-deployment-7",
    "mystery",
    "",
];
const UPSTREAMS: [&str; 4] = ["", "bedrock-eu", "reseller", "elsewhere"];
const JUNE_2026: i64 = 1_780_272_000_000;
const JUNE_2027: i64 = 1_811_808_000_000;

/// Tokens that one inference can use.
fn any_run() -> impl Strategy<Value = [u64; RATE_CLASSES]> {
    proptest::array::uniform5(prop_oneof![Just(0), 0..100_u64, 0..60_000_u64, 49_990..50_010_u64])
}

fn iteration(counts: [u64; RATE_CLASSES]) -> Iteration {
    let [input_tokens, output_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens] =
        counts;
    Iteration {
        input_tokens,
        output_tokens,
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        cache_read_tokens,
        ..Iteration::default()
    }
}

/// The longest prompt and the longest output of any inference.
fn bounds(usage: &Usage) -> (u64, u64) {
    let runs = usage.iterations.iter().map(|run| (run.prompt_tokens(), run.output_tokens));
    let all = runs.chain([(usage.prompt_tokens(), usage.output_tokens)]);
    all.fold((0, 0), |(input, output), run| (input.max(run.0), output.max(run.1)))
}

fn any_counts(most: u64) -> impl Strategy<Value = [u64; RATE_CLASSES]> {
    proptest::array::uniform5(prop_oneof![Just(0), 0..=most, 0..=most / 1_000_000])
}

prop_compose! {
    fn any_mode()(speed in any::<Option<bool>>(), us: bool, batch: bool, regional: bool)
        -> (Option<String>, Option<String>, bool, bool)
    {
        let speed = speed.map(|fast| if fast { "fast" } else { "standard" }.to_owned());
        (speed, us.then(|| "us".to_owned()), batch, regional)
    }
}

proptest! {
    #[test]
    fn a_cost_is_the_sum_of_its_lines_and_each_line_explains_itself(
        model in proptest::sample::select(&MODELS),
        counts in any_counts(10_000_000_000),
        (speed, inference_geo, batch, regional) in any_mode(),
        tools: (u16, u16),
    ) {
        let usage = Usage {
            speed, inference_geo,
            web_search_requests: tools.0.into(), code_execution_requests: tools.1.into(),
            ..tokens(counts)
        };
        let sale = Sale { batch, regional, ..sale(model, &usage) };
        let priced = PriceBook::builtin().price(&sale);
        prop_assert_eq!(priced.cost, priced.lines.iter().map(|line| line.amount).sum());
        let cost = PriceBook::builtin().cost(&sale);
        prop_assert_eq!(cost, Cost { amount: priced.cost, unknown_model: priced.unknown_model });
        for line in &priced.lines {
            // Independently: twice the exact amount lies within one of twice the rounded one.
            let exact = i128::from(line.quantity) * i128::from(line.rate_per_million.0)
                * (line.multiplier.to_string().parse::<f64>().unwrap() * 1000.0).round() as i128;
            let scale = 1_000_000 * 1_000;
            prop_assert!((2 * exact - 2 * scale * i128::from(line.amount.0)).abs() <= scale);
            prop_assert!(line.quantity > 0);
        }
    }

    #[test]
    fn more_tokens_never_cost_less_and_nothing_is_negative(
        model in proptest::sample::select(&MODELS),
        counts in any_counts(u64::MAX),
        more in any_counts(u64::MAX),
        (speed, inference_geo, batch, regional) in any_mode(),
    ) {
        let few = Usage { speed, inference_geo, ..tokens(counts) };
        let sums: [u64; RATE_CLASSES] = std::array::from_fn(|at| counts[at].saturating_add(more[at]));
        let [input_tokens, output_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens] = sums;
        let many = Usage {
            input_tokens, output_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens,
            ..few.clone()
        };
        let [few, many] = [&few, &many].map(|usage| {
            PriceBook::builtin().cost(&Sale { batch, regional, ..sale(model, usage) }).amount
        });
        prop_assert!(NanoUsd::ZERO <= few && few <= many);
    }

    #[test]
    fn an_unknown_model_is_never_free_and_never_cheaper_than_a_known_one(
        known in proptest::sample::select(&MODELS[..4]),
        counts in any_counts(10_000_000_000),
        (speed, inference_geo, batch, regional) in any_mode(),
        at in UnixMs::MIN.0..=UnixMs::MAX.0,
    ) {
        let usage = Usage { speed, inference_geo, ..tokens(counts) };
        // The known id carries a region in one case; so does the unknown one then.
        let unknown = if known.starts_with("us.") { "us.anthropic.mystery" } else { "mystery" };
        let [known, unknown] = [known, unknown].map(|model| {
            PriceBook::builtin().cost(&Sale { at: UnixMs(at), batch, regional, ..sale(model, &usage) })
        });
        prop_assert!(unknown.unknown_model && !known.unknown_model);
        prop_assert!(known.amount <= unknown.amount);
        prop_assert_eq!(unknown.amount > NanoUsd::ZERO, counts != [0; RATE_CLASSES]);
    }

    #[test]
    fn two_requests_cost_what_they_cost_together_but_for_rounding(
        model in proptest::sample::select(&["claude-opus-5", "claude-fable-5-2", "mystery"]),
        one in any_counts(COUNT_MAX / 2),
        other in any_counts(COUNT_MAX / 2),
        (speed, inference_geo, batch, regional) in any_mode(),
    ) {
        let both: [u64; RATE_CLASSES] = std::array::from_fn(|at| one[at] + other[at]);
        let [one, other, both] = [one, other, both].map(|counts| {
            let usage = Usage { speed: speed.clone(), inference_geo: inference_geo.clone(), ..tokens(counts) };
            PriceBook::builtin().cost(&Sale { batch, regional, ..sale(model, &usage) }).amount.0
        });
        // Three roundings of half a nano-dollar in each of the five lines.
        prop_assert!((one + other - both).abs() <= 7);
    }

    #[test]
    fn a_reservation_covers_every_way_in_which_a_request_can_be_served(
        models in proptest::collection::vec(proptest::sample::select(&CANDIDATES), 1..4),
        upstreams in proptest::collection::vec(proptest::sample::select(&UPSTREAMS), 1..3),
        contract: bool,
        at in JUNE_2026..JUNE_2027,
        runs in proptest::collection::vec((any::<proptest::sample::Index>(), any_run()), 1..4),
        totals: bool,
        served in any::<(proptest::sample::Index, proptest::sample::Index)>(),
        (speed, inference_geo, batch, regional) in any_mode(),
        spare: (u16, u16),
    ) {
        let book = if contract { PriceBook::parse(bodies::CONTRACT).unwrap() } else { PriceBook::builtin().clone() };
        let at = UnixMs(at);
        let iterations: Vec<Iteration> = runs.iter().map(|(model, counts)| Iteration {
            model: Some((*model.get(&models)).to_owned()), ..iteration(*counts)
        }).collect();
        let fast = speed.as_deref() == Some("fast");
        let usage = if totals {
            Usage { speed, inference_geo, ..tokens(runs[0].1) }
        } else {
            Usage { speed, inference_geo, iterations, ..Usage::default() }
        };
        let (input, output) = bounds(&usage);
        let order = Order {
            models: &models,
            upstreams: &upstreams,
            at,
            input_tokens: input + u64::from(spare.0),
            output_tokens: output + u64::from(spare.1),
            fast,
            inferences: runs.len().try_into().unwrap(),
        };
        let sale = Sale {
            requested_model: models[0], model: served.0.get::<&str>(&models), upstream: served.1.get::<&str>(&upstreams),
            usage: &usage, at, batch, regional,
        };
        let (cost, reserved) = (book.cost(&sale).amount, book.reservation(&order));
        prop_assert!(cost <= reserved, "{} > {}: {:?} {:?}", cost, reserved, sale, order);
    }

    #[test]
    fn one_reservation_covers_all_inferences_that_share_its_tokens(
        model in proptest::sample::select(&CANDIDATES),
        runs in proptest::collection::vec(any_run(), 1..5),
        (_, inference_geo, batch, regional) in any_mode(),
    ) {
        let iterations: Vec<Iteration> = runs.iter().copied().map(iteration).collect();
        let input = iterations.iter().map(Iteration::prompt_tokens).sum();
        let output = iterations.iter().map(|run| run.output_tokens).sum();
        let usage = Usage { inference_geo, iterations, ..Usage::default() };
        let book = PriceBook::builtin();
        let cost = book.cost(&Sale { batch, regional, ..sale(model, &usage) }).amount;
        prop_assert!(cost <= book.reservation(&order(&[model], input, output)));
    }

    #[test]
    fn any_text_is_a_book_or_a_problem(text in any::<String>(), at in 0..BUILTIN.len(), byte in 0x20..0x7f_u8) {
        let _ = PriceBook::parse(&text);
        let mut changed = BUILTIN.as_bytes().to_vec();
        changed[at] = byte;
        if let Err(problem) = PriceBook::parse(std::str::from_utf8(&changed).unwrap()) {
            prop_assert!(!problem.path.is_empty() && !problem.rule.is_empty());
        }
    }

    #[test]
    fn any_id_is_priced(model in any::<String>(), spelled in "[a-z.:@/\\[\\]0-9-]{0,40}") {
        let usage = tokens([1, 1, 1, 1, 1]);
        for model in [model, spelled] {
            prop_assert!(cost(&model, &usage) > NanoUsd::ZERO);
        }
    }
}
