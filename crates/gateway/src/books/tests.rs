//! Changes of allowances while others change them.

use std::sync::Barrier;
use std::thread;

use tollgate_policy::access::Models;
use tollgate_policy::allowance::{Measure, Mode, Reserve, Selector, Span};
use tollgate_store::Expect;

use super::*;
use crate::running::{Gateway, Source};

const AT_ONCE: usize = 8;

fn allowance(name: &str) -> Allowance {
    Allowance {
        name: name.parse().unwrap(),
        on: Selector::default(),
        each: None,
        models: Models::default(),
        measure: Measure::Requests,
        amount: 1,
        span: Span::Rate { per_ms: 1_000, burst: 1 },
        reserve: Reserve::Full,
        mode: Mode::Block,
        warn_at: Vec::new(),
        message: None,
        raises: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_the_same_time_are_all_in_force() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "sk-ant-test").unwrap();
    let text = format!(
        "listen:\n  address: 127.0.0.1:0\nadmin:\n  address: 127.0.0.1:0\ndata: {0}/data\nupstream:\n  \
         url: http://127.0.0.1:9\n  credential: file:{0}/key\n  proxy: none\n",
        folder.path().display()
    );
    let config = tollgate_config::load(&text, "test").unwrap();
    let gateway = Gateway::start(config, Source { name: "test", text: &text }).await.unwrap();
    for round in 1..=20 {
        let start = Barrier::new(AT_ONCE);
        thread::scope(|scope| {
            for number in 0..AT_ONCE {
                let (shared, start) = (gateway.shared(), &start);
                scope.spawn(move || {
                    let wish = allowance(&format!("a{round}-{number}"));
                    start.wait();
                    shared.register.set_allowance("ada", wish, Expect::Absent, shared.now()).unwrap();
                    shared.allowances_changed().unwrap();
                });
            }
        });
        let in_force = gateway.shared().counters.standing(gateway.shared().now(), |_| true);
        assert_eq!(in_force.len(), round * AT_ONCE);
    }
    gateway.drain().await;
}
