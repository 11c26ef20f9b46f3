//! The zoo: the faithful gateway does nothing wrong, and each other one does wrong what its row says, and only that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tollgate_simulator::zoo::{ANIMALS, Animal, Cage, Terms};

use crate::client::{Answer, Client, simulator};

mod ask;
mod rules;

use ask::{Ask, Visit};

/// Animals that are visited at once. They wait more than they work; more at once would be late for each other.
const VISITS: usize = 32;

#[test]
fn animals_have_names_of_their_own() {
    let names: BTreeSet<_> = ANIMALS.iter().map(|animal| animal.name).collect();
    assert_eq!(names.len(), ANIMALS.len());
    assert_eq!((ANIMALS[0].name, ANIMALS[0].fails.len()), ("faithful", 0));
    assert!(ANIMALS.iter().all(|animal| Animal::named(animal.name).is_some()));
    // Animals that speak TLS are looked at by the kit, which speaks it too.
    let elsewhere = |animal: &Animal, rule: &str| animal.speaks_tls() || rule.starts_with("limit.");
    let known = |animal: &Animal, rule: &str| rules::RULES.contains(&rule) || elsewhere(animal, rule);
    assert!(ANIMALS.iter().all(|animal| animal.fails.iter().all(|rule| known(animal, rule))));
    let caught: BTreeSet<_> = ANIMALS.iter().flat_map(|animal| animal.fails).collect();
    assert!(
        rules::RULES.iter().all(|rule| caught.contains(rule)),
        "a rule that no animal breaks: {caught:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_animal_breaks_the_rules_that_its_row_names_and_no_others() {
    let places = Arc::new(Semaphore::new(VISITS));
    let mut visits = JoinSet::new();
    for animal in ANIMALS.iter().filter(|animal| !animal.speaks_tls()) {
        let places = Arc::clone(&places);
        visits.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let broken = rules::broken(&Visit::to(animal).await).await;
            let expected: BTreeSet<_> =
                animal.fails.iter().copied().filter(|rule| !rule.starts_with("limit.")).collect();
            (broken != expected).then(|| format!("{}: {broken:?}, and not {expected:?}", animal.name))
        });
    }
    let wrong: Vec<String> = visits.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a limiter lets in out of a flood, and how it says no.
#[derive(Debug, PartialEq, Eq)]
struct Flood {
    first_client: usize,
    second_client: usize,
    first_client_on_a_new_connection: usize,
    retry_after: Option<u64>,
    envelope: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_limiter_lets_in_what_its_row_says() {
    let rows = [
        ("fixed-window", [20, 20, 0], Some(60), true),
        ("clock-window", [20, 20, 0], Some(60), true),
        ("sliding-window", [20, 20, 0], Some(60), true),
        ("token-bucket", [5, 5, 0], Some(3), true),
        ("gcra", [5, 5, 0], Some(3), true),
        // One after the other, all are let in.
        ("limits-concurrency", [30, 30, 30], None, true),
        ("counts-refused", [20, 20, 0], Some(60), true),
        ("tokens-per-minute", [10, 10, 0], Some(60), true),
        ("over-admits", [24, 24, 0], Some(60), true),
        ("under-admits", [10, 10, 0], Some(60), true),
        ("shared-between-keys", [20, 0, 0], Some(60), true),
        ("limits-per-connection", [20, 20, 20], Some(60), true),
        ("429-without-retry-after", [20, 20, 0], None, true),
        ("429-in-html", [20, 20, 0], Some(60), false),
        ("dishonest-retry-after", [20, 20, 0], Some(1), true),
    ];
    let limiters = ANIMALS.iter().filter(|animal| animal.limits());
    assert!(limiters.map(|animal| animal.name).eq(rows.map(|row| row.0)), "every limiter has its row");
    let mut floods = JoinSet::new();
    for (name, admitted, retry_after, envelope) in rows {
        let [first_client, second_client, first_client_on_a_new_connection] = admitted;
        let expected =
            Flood { first_client, second_client, first_client_on_a_new_connection, retry_after, envelope };
        floods.spawn(async move {
            let seen = flood(name).await;
            // A window that began a little ago ends a little sooner.
            let sooner = seen.retry_after.zip(retry_after).is_some_and(|(seen, most)| most - seen <= 2);
            let seen = Flood { retry_after: if sooner { retry_after } else { seen.retry_after }, ..seen };
            assert_eq!(seen, expected, "{name}");
        });
    }
    floods.join_all().await;
}

async fn flood(name: &str) -> Flood {
    let simulator = simulator().await;
    let terms = Terms { rpm: 20, burst: 5, tokens_per_minute: 100, ..Terms::default() };
    let cage = Cage::start_on(Animal::named(name).unwrap(), simulator.addr(), terms).await.unwrap();
    let tokens = cage.terms().client_tokens.clone();
    let mut refusal = None;
    let mut admitted = Vec::new();
    for token in [&tokens[0], &tokens[1], &tokens[0]] {
        let mut client = Client::connect_to(cage.addr()).await;
        let mut count = 0;
        let ask = Ask::message("usage=in:9,out:1").credentials([Some(token.as_str()), None]);
        for _ in 0..30 {
            let answer = client.ask(&ask.bytes()).await;
            match answer.status {
                200 => count += 1,
                status => {
                    assert_eq!(status, 429);
                    refusal.get_or_insert(answer);
                }
            }
        }
        admitted.push(count);
    }
    let refusal: Option<Answer> = refusal;
    Flood {
        first_client: admitted[0],
        second_client: admitted[1],
        first_client_on_a_new_connection: admitted[2],
        retry_after: refusal
            .as_ref()
            .and_then(|refusal| refusal.header("retry-after"))
            .map(|value| value.parse().unwrap()),
        envelope: refusal.as_ref().is_none_or(rules::is_envelope),
    }
}

#[tokio::test]
async fn a_shorter_minute_is_over_sooner() {
    let simulator = simulator().await;
    let terms = Terms { rpm: 1, minute: Duration::from_millis(500), ..Terms::default() };
    let cage = Cage::start_on(Animal::named("fixed-window").unwrap(), simulator.addr(), terms).await.unwrap();
    let mut client = Client::connect_to(cage.addr()).await;
    let ask = Ask::message("").credentials([None, Some(cage.client_token())]).bytes();
    assert_eq!(client.ask(&ask).await.status, 200);
    assert_eq!(client.ask(&ask).await.status, 429);
    let let_in = async {
        while client.ask(&ask).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), let_in)
        .await
        .expect("it is let in long before a real minute is over");
    cage.stop().await;
}
