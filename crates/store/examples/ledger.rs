//! Makes a large ledger and measures it: how fast settlements are booked, how large the file is, how long typical
//! questions take and how much memory they need.
//!
//! ```text
//! cargo run --release -p tollgate-store --example ledger -- 1000000 FILE
//! cargo run --release -p tollgate-store --example ledger -- journal 100000 FOLDER
//! ```
//!
//! The first makes a ledger in FILE without a journal. The second serves requests with all that a gateway remembers, and
//! measures how fast the ledger is made again from the journal in FOLDER.
//!
//! The settlements of one year of a company: 40 teams with 50 people each, of whom two thirds work on a weekday,
//! three models, one hundred cost centres, two tags, sessions of about thirty requests. All from one seed.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use tollgate_policy::access::Models;
use tollgate_policy::allowance::{
    Allowance, Calendar, Level, Measure, Mode, Period, Reserve, Selector, Span,
};
use tollgate_policy::books::Books;
use tollgate_policy::entry::{Admitted, Event, Outcome, Settled};
use tollgate_policy::id::{KeyId, RequestId};
use tollgate_policy::scope::{Name, Scope};
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_policy::usage::Usage;
use tollgate_store::ledger::bulk::Bulk;
use tollgate_store::ledger::{Dimension, Filter, Only, Query};
use tollgate_store::{Options, Store};

const DAY_MS: i64 = 86_400_000;
const DAYS: i64 = 365;
const TEAMS: u64 = 40;
const PEOPLE: u64 = 2_000;
/// Settlements that are booked in one transaction, as when the ledger is made again from its journal.
const STEP: u64 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let start: UnixMs = "2026-01-01T00:00:00.000Z".parse()?;
    let args: Vec<_> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["journal", rows, data] => rebuild(rows.parse()?, Path::new(data), start),
        ["measure", path] => measure(&Bulk::open(Path::new(path))?, start),
        [rows, path] => {
            book(rows.parse()?, Path::new(path), start)?;
            // In a process of its own, so that its memory is that of the questions.
            let measured = Command::new(env::current_exe()?).args(["measure", path]).status()?;
            measured.success().then_some(()).ok_or_else(|| "the questions failed".into())
        }
        _ => Err("say how many settlements and the file of the ledger; or journal, how many, and the folder"
            .into()),
    }
}

fn book(rows: u64, path: &Path, start: UnixMs) -> Result<(), Box<dyn Error>> {
    if path.exists() {
        return Err(format!("{} is there already", path.display()).into());
    }
    let mut ledger = Bulk::open(path)?;
    let mut company = Company { start, rows, seed: 7, made: 0 };
    let mut total = Took::default();
    let mut longest = Duration::ZERO;
    while company.made < rows {
        let step: Vec<_> = (company.made..rows.min(company.made + STEP)).map(|_| company.settled()).collect();
        let ((), took) = timed(|| ledger.book(step))?;
        total = Took { wall: total.wall + took.wall, cpu: total.cpu + took.cpu };
        longest = longest.max(took.wall);
    }
    let per_second = |time: Duration| rows as f64 / time.as_secs_f64();
    println!(
        "booked    {rows} settlements, {:.0} a second ({:.0} a second of one processor)",
        per_second(total.wall),
        per_second(total.cpu)
    );
    println!("          longest transaction, of {STEP}: {} ms", longest.as_millis());
    let bytes: u64 = ["", "-wal"].iter().map(|suffix| size(path, suffix)).sum();
    println!("file      {} MiB, {} bytes a settlement", bytes >> 20, bytes / rows);
    println!("memory    {} MiB at most, with the settlements of one transaction", peak_mib()?);
    println!("question                                      rows   wall ms  processor ms  memory MiB");
    Ok(())
}

/// Writes a journal, and measures how fast the ledger is made again from it.
fn rebuild(rows: u64, data: &Path, start: UnixMs) -> Result<(), Box<dyn Error>> {
    let options = Options::new(data);
    let store = Store::open(&options, start)?;
    let mut company = Company { start, rows, seed: 7, made: 0 };
    let ((), took) = timed(|| {
        for _ in 0..rows {
            let (settled_at, Event::Settled(settled)) = company.settled() else { continue };
            let admitted = admitted(&settled);
            let seq = store.journal.admit(settled_at, admitted).wait()?;
            store.journal.settle(settled_at, Settled { admitted: seq, ..settled }).wait()?;
        }
        store.ledger.catch_up()?;
        Ok::<_, Box<dyn Error>>(())
    })?;
    let per_second = |time: Duration| rows as f64 / time.as_secs_f64();
    println!(
        "served    {rows} requests one after the other, booked too, {:.0} a second",
        per_second(took.wall)
    );
    store.close(start)?;
    let (store, with_ledger) = timed(|| Store::open(&options, start))?;
    store.close(start)?;
    fs::remove_file(data.join("ledger.db"))?;
    let (store, without) = timed(|| Store::open(&options, start))?;
    let cpu = without.cpu.saturating_sub(with_ledger.cpu);
    println!("opened    in {} ms with its ledger", with_ledger.wall.as_millis());
    println!("          in {} ms without it", without.wall.as_millis());
    println!("remade    {:.0} settlements a second of one processor", per_second(cpu));
    Ok(store.close(start)?)
}

fn admitted(settled: &Settled) -> Admitted {
    Admitted {
        request: settled.request,
        key: settled.key,
        scope: settled.scope.clone(),
        peer: "192.0.2.7:50123".into(),
        method: "POST".into(),
        endpoint: settled.endpoint.clone(),
        path: "/v1/messages".into(),
        model: settled.model.clone(),
        stream: true,
        max_tokens: Some(4096),
        body_bytes: 1234,
        upstream: settled.upstream.clone(),
        reserved: settled.cost,
        input_estimate: 310,
        output_estimate: 4096,
        cost_centre: settled.cost_centre.clone(),
        tags: settled.tags.clone(),
        over: Vec::new(),
        session: settled.session.clone(),
        agent: None,
        headers: BTreeMap::new(),
    }
}

fn measure(ledger: &Bulk, start: UnixMs) -> Result<(), Box<dyn Error>> {
    let at = |days: i64| start.saturating_add_ms(days * DAY_MS);
    let year = || Filter::between(at(0), at(DAYS));
    let query = |by: &[Dimension], filter: Filter| Query { by: by.to_vec(), filter, ..Query::default() };
    let only = |dimension, value: &str| Filter { only: vec![Only::is(dimension, value)], ..year() };
    let top = Query { limit: Some(20), ..query(&[Dimension::User], year()) };
    let divided = Filter::between(at(30).saturating_add_ms(40_000_000), at(61).saturating_add_ms(40_000_000));
    let questions = [
        ("one month by team", query(&[Dimension::Team], Filter::between(at(31), at(59)))),
        ("31 days by team, first and last divided", query(&[Dimension::Team], divided)),
        ("the year by cost centre and model", query(&[Dimension::CostCentre, Dimension::Model], year())),
        ("the year, the 20 dearest users", top),
        ("the year by month", query(&[Dimension::Month], year())),
        ("the year by day and model", query(&[Dimension::Day, Dimension::Model], year())),
        ("the year by tag", query(&[Dimension::Tag("app".into())], year())),
        ("the year of one user by day", query(&[Dimension::Day], only(Dimension::User, "user-77"))),
        ("one session by model", query(&[Dimension::Model], only(Dimension::Session, &session(77, 77)))),
        ("one day by session", query(&[Dimension::Session], Filter::between(at(100), at(101)))),
    ];
    for (name, query) in questions {
        let (rows, took) = timed(|| ledger.report(&query))?;
        line(name, rows.len(), took)?;
    }
    let (rows, took) = timed(|| ledger.past(at(31).saturating_add_ms(1), at(59)))?;
    line("past use of 28 days less one millisecond", rows.len(), took)?;
    let mut visited = 0;
    let ((), took) = timed(|| ledger.recent(at(DAYS - 1), &mut |_| visited += 1))?;
    line("requests of the last day, one by one", visited, took)?;
    let (rows, took) = timed(|| ledger.records(&year(), 500, 1000))?;
    line("a page of 1000 records", rows.len(), took)?;
    let (figures, took) = timed(|| ledger.statement(at(31), at(59), 0))?;
    line("the statement of a month", figures.lines.len() + figures.late.len(), took)?;
    let month = Span::Period { period: Period::Month, calendar: Calendar::default() };
    start_of(ledger, "a start with a monthly budget of each key", Level::Key, month, at(DAYS))?;
    let days_30 = Span::Rolling { ms: 30 * DAY_MS };
    start_of(ledger, "a start with a budget of 30 rolling days", Level::User, days_30, at(DAYS))
}

/// Measures how long a start waits until an allowance for each of a level knows what was used of it.
fn start_of(ledger: &Bulk, name: &str, each: Level, span: Span, now: UnixMs) -> Result<(), Box<dyn Error>> {
    let budget = Allowance {
        name: "budget".parse()?,
        on: Selector::default(),
        each: Some(each),
        models: Models::default(),
        measure: Measure::Cost,
        amount: 1_000_000_000_000,
        span,
        reserve: Reserve::Full,
        mode: Mode::Block,
        warn_at: Vec::new(),
        message: None,
        raises: Vec::new(),
    };
    let now = UnixMs(now.0 - 1);
    let mut books = Books::new(vec![budget], now);
    let ((), took) = timed(|| ledger.recall(&mut books, now))?;
    line(name, books.standing_from(now, 0, |_| true).0.len(), took)
}

/// How long something took, and how long a processor worked for it.
#[derive(Clone, Copy, Default)]
struct Took {
    wall: Duration,
    cpu: Duration,
}

fn timed<T, E>(question: impl FnOnce() -> Result<T, E>) -> Result<(T, Took), Box<dyn Error>>
where
    Box<dyn Error>: From<E>,
{
    // Forgets the peak so far: the one that is printed is that of the question. Only Linux knows how.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (wall, cpu) = (Instant::now(), cpu_time()?);
    let answer = question()?;
    Ok((answer, Took { wall: wall.elapsed(), cpu: cpu_time()? - cpu }))
}

fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    Ok(Duration::from_nanos(text.split(' ').next().ok_or("no schedstat")?.parse()?))
}

fn line(name: &str, rows: usize, took: Took) -> Result<(), Box<dyn Error>> {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("{name:<42} {rows:>7} {:>9.1} {:>13.1} {:>11}", ms(took.wall), ms(took.cpu), peak_mib()?);
    Ok(())
}

fn size(path: &Path, suffix: &str) -> u64 {
    fs::metadata(format!("{}{suffix}", path.display())).map_or(0, |metadata| metadata.len())
}

/// The most memory that this process had since the peak was forgotten, from Linux.
fn peak_mib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? >> 10)
}

fn session(person: u64, day: i64) -> String {
    format!("{person:08x}-0000-4000-8000-{day:012x}")
}

/// Where settlements come from.
struct Company {
    start: UnixMs,
    rows: u64,
    seed: u64,
    made: u64,
}

impl Company {
    fn settled(&mut self) -> (UnixMs, Event) {
        let progress = i128::from(self.made) * i128::from(DAYS * DAY_MS) / i128::from(self.rows);
        let at = self.start.saturating_add_ms(progress as i64);
        let day = progress as i64 / DAY_MS;
        self.made += 1;
        // Two thirds of the people work on a day, each a third more on some.
        let person = (self.chance(PEOPLE * 2 / 3) + day as u64 * 613) % PEOPLE;
        let (model, price) =
            [("claude-sonnet-4-5-20250929", 3), ("claude-opus-4-5", 15), ("claude-haiku-4-5", 1)]
                [[0, 0, 0, 1, 2, 2][self.chance(6) as usize]];
        let (input, output, cached) = (self.chance(4_000), self.chance(2_000), self.chance(90_000));
        let outcome = [Outcome::Complete, Outcome::Aborted, Outcome::UpstreamError]
            [[0; 18].into_iter().chain([1, 2]).nth(self.chance(20) as usize).unwrap_or(0)];
        let name = |text: String| -> Name { text.parse().unwrap_or_else(|_| Scope::default_org()) };
        let ms_total = 500 + self.chance(60_000);
        let settled = Settled {
            request: RequestId::new(at, self.ten_bytes()),
            admitted: self.made,
            admitted_at: Some(at),
            key: KeyId::new(self.start, [person as u8, (person >> 8) as u8, 0, 0, 0, 0, 0, 0, 0, 0]),
            scope: Scope {
                org: Scope::default_org(),
                team: name(format!("team-{}", person % TEAMS)),
                project: person.is_multiple_of(3).then(|| name(format!("project-{}", person % 200))),
                user: Some(name(format!("user-{person}"))),
            },
            endpoint: "messages".into(),
            model: Some(model.into()),
            served_model: Some(model.into()),
            upstream: "anthropic".into(),
            region: None,
            outcome,
            status: Some(200),
            usage: Usage {
                input_tokens: input,
                output_tokens: output,
                cache_read_tokens: cached,
                ..Usage::default()
            },
            cost: NanoUsd((input * price * 1000 + output * price * 5000 + cached * price * 100) as i64),
            price_version: format!("2026-{:02}-01", 1 + day / 92 * 3),
            unknown_price: false,
            estimated: outcome == Outcome::Aborted,
            ms_total,
            ms_first_byte: Some(300),
            upstream_request_id: None,
            error: None,
            session: Some(session(person, day)),
            agent: None,
            cost_centre: Some(name(format!("{}", 4000 + person % 100))),
            tags: BTreeMap::from([
                ("app".into(), format!("app-{}", person % 7)),
                ("stage".into(), if person.is_multiple_of(5) { "test".into() } else { "prod".into() }),
            ]),
        };
        (at.saturating_add_ms(ms_total as i64), Event::Settled(settled))
    }

    /// A number below `end`. A multiplicative generator with an xor of its upper half is random enough for this.
    fn chance(&mut self, end: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.seed >> 33) ^ (self.seed >> 13)) % end
    }

    fn ten_bytes(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.chance(u64::MAX).to_be_bytes());
        bytes
    }
}
