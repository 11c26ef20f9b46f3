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
    fn a_reservation_covers_whatever_a_request_at_standard_speed_can_use(
        model in proptest::sample::select(&MODELS),
        counts in any_counts(200_000),
        (_, inference_geo, batch, regional) in any_mode(),
        spare: (u16, u16),
    ) {
        let usage = Usage { inference_geo, ..tokens(counts) };
        let estimate = usage.prompt_tokens() + u64::from(spare.0);
        let max_tokens = usage.output_tokens + u64::from(spare.1);
        let book = PriceBook::builtin();
        let reserved = book.reservation(&order(&[model], estimate, max_tokens));
        let cost = book.cost(&Sale { batch, regional, ..sale(model, &usage) }).amount;
        // Five lines are rounded on their own, the two of the reservation too.
        prop_assert!(cost.0 <= reserved.0 + 4, "{} > {}", cost, reserved);
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
