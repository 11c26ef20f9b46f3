//! Every rule against every animal of the zoo: exactly those fail that the zoo's own table names.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write,
    fs,
    io::Write as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Semaphore, task::JoinSet};
use tollgate_simulator::zoo::{ANIMALS, Animal, Cage, Terms};

use super::{
    Checked, Scene, check,
    rules::{TABLE, TLS_USED},
};
use crate::{dial::Way, finding::Outcome};

/// Animals at once: more, and what is judged by the clock is judged by a busy machine.
const AT_ONCE: usize = 8;
/// So many that one which is busy with 32 MiB holds no other up.
const THREADS: usize = 16;
/// The pause that an animal must bear which is said to bear 310 s, and the one after which others end a stream.
const LONG: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_millis(3_700);

/// Checks an animal, behind which stands the probe.
async fn run(animal: &'static Animal) -> Checked {
    let fails_by_limit = animal.fails.contains(&"limit.shape");
    // A limit is looked at here only by its shape, for which it must be met; `check rate-limit` does the rest.
    let rpm = if fails_by_limit { 20 } else { 6_000 };
    let mut terms = Terms { idle: IDLE, rpm, tokens_per_minute: 1 << 40, ..Terms::default() };
    terms.client_tokens = vec!["client-of-the-zoo-0123456789".to_owned()];
    let token = terms.client_tokens[0].parse().ok();
    let way = Way::to("http://127.0.0.1:1".parse().unwrap());
    let model = "claude-haiku-5-5".to_owned();
    let run = animal.name.bytes().fold(7, |run: u64, byte| run.wrapping_mul(31).wrapping_add(byte.into()));
    let mut scene = Scene::new(way, token, model, Duration::from_secs(30), run);
    let probe = scene.probe("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let cage = Cage::start_on(animal, probe, terms).await.unwrap();
    scene.way.url = cage.url().parse().unwrap();
    let mut authority = tempfile::NamedTempFile::new().unwrap();
    if let Some(pem) = cage.authority() {
        authority.write_all(pem.as_bytes()).unwrap();
        scene.way.ca_file = Some(authority.path().to_owned());
    }
    let is_idle = animal.fails.is_empty() || animal.fails.contains(&"stream.idle");
    let checked = check(&scene, is_idle.then_some(LONG)).await;
    cage.stop().await;
    checked
}

/// Where the client stands decides on `tls.used`: the same gateway is well beside it, and not across a network.
#[test]
fn every_rule_about_what_a_gateway_does_has_an_animal_that_breaks_it() {
    for rule in TABLE.iter().filter(|rule| **rule != &TLS_USED) {
        assert!(ANIMALS.iter().any(|animal| animal.fails.contains(&rule.id)), "{}", rule.id);
    }
}

/// What the zoo's table says, of the rules that are looked at here.
fn expected(animal: &Animal) -> BTreeSet<&'static str> {
    let here = |id: &&&str| TABLE.iter().any(|rule| rule.id == **id);
    animal.fails.iter().filter(here).copied().collect()
}

fn failed(checked: &Checked) -> BTreeSet<&'static str> {
    let findings = checked.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Fail(_)));
    findings.map(|finding| finding.rule.id).collect()
}

#[test]
fn each_animal_fails_as_it_should_and_the_reference_is_current() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap();
    let mut checked = runtime.block_on(async {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut runs = JoinSet::new();
        for animal in ANIMALS {
            let places = Arc::clone(&places);
            runs.spawn(async move {
                let _place = places.acquire_owned().await;
                (animal.name, run(animal).await)
            });
        }
        runs.join_all().await.into_iter().collect::<BTreeMap<_, _>>()
    });
    // Streams are judged by the clock, which a machine that does much else at the same time may spoil.
    for animal in ANIMALS {
        if expected(animal) != failed(&checked[animal.name]) {
            checked.insert(animal.name, runtime.block_on(run(animal)));
        }
    }
    let mut wrong = String::new();
    for animal in ANIMALS {
        let checked = &checked[animal.name];
        let (expected, failed) = (expected(animal), failed(checked));
        if expected != failed {
            let _ = writeln!(wrong, "{}: fails {failed:?}, should fail {expected:?}", animal.name);
        }
        for finding in &checked.findings {
            let is_wrong = failed.contains(finding.rule.id) != expected.contains(finding.rule.id);
            let is_open = animal.fails.is_empty() && finding.outcome == Outcome::Unknown;
            if is_wrong || is_open {
                let _ = writeln!(wrong, "    {}: {} {:?}", finding.rule.id, finding.says, finding.evidence);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let page = page(&checked);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/zoo.md");
    if env::var_os("TOLLGATE_UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, page, "renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current");
}

const HEAD: &str = "\
# The zoo

<!-- Made from crates/kit. To renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current -->

Gateways that are wrong in one way each, and what `tollgate check --probe-listen` finds of them. A test runs every rule
against every animal; exactly the rules named here fail, and of an animal that has none, no rule is left open. An animal
can be run with `tollgate simulate --animal NAME`. Limiters are for `tollgate check rate-limit`: here their limits are
set so high that only the shape of their refusals shows.

| animal | what it does | rules that fail |
|---|---|---|
";

/// The page: a line for each animal, and the matrix.
fn page(checked: &BTreeMap<&str, Checked>) -> String {
    let mut page = HEAD.to_owned();
    for animal in ANIMALS {
        let failed: Vec<String> = failed(&checked[animal.name]).iter().map(|id| format!("`{id}`")).collect();
        let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
        let _ = writeln!(page, "| `{}` | {} | {failed} |", animal.name, animal.about);
    }
    page.push_str(
        "\nThe same as a matrix: a row for each rule, a column for each animal in the order above. `.` passes, `F` \
         fails, `?` could not be told because too little comes through, and a blank does not apply, or is \
         chance behind a limit that is met.\n\n```text\n",
    );
    for rule in TABLE {
        let cell = |animal: &Animal| {
            // Whether a limit is met, and by which requests, is chance, unless it is set so that it must be.
            let must_be_met = animal.fails.contains(&"limit.shape");
            if animal.limits() && must_be_met != (rule.id == "limit.shape") {
                return ' ';
            }
            let findings = &checked[animal.name].findings;
            match findings.iter().find(|finding| finding.rule == *rule).map(|finding| finding.outcome) {
                Some(Outcome::Pass(_)) => '.',
                Some(Outcome::Fail(_)) => 'F',
                Some(Outcome::Unknown) => '?',
                None => ' ',
            }
        };
        let cells: String = ANIMALS.iter().map(cell).collect();
        let _ = writeln!(page, "{:<22}{}", rule.id, cells.trim_end());
    }
    page.push_str("```\n");
    page
}
