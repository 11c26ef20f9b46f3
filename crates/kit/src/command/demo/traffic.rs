//! The burst: who asks what, how often, and what must come of it.

use super::{
    cast::{Cast, Part},
    exchange::{Exchange, send_one},
};
use crate::printer::Printer;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::task::JoinSet;

const LARGE: &str = "claude-opus-5-5";
const MIDDLE: &str = "claude-sonnet-5-5";
const SMALL: &str = "claude-haiku-5-5";

/// After how many events a client leaves. The simulated API then says nothing more until it does.
pub(super) const LEAVE_AFTER_EVENTS: usize = 8;

/// One kind of request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene {
    /// What is shown, a plural.
    pub(super) title: &'static str,
    pub(super) part: Part,
    pub(super) times: usize,
    pub(super) ask: Ask,
    /// What the simulated API is told to do; see `tollgate simulate --help`.
    pub(super) directives: &'static str,
    pub(super) want: Want,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// A message, in one piece.
    Plain(&'static str),
    /// A message, as a stream.
    Stream(&'static str),
    /// The tokens of a message.
    Count(&'static str),
    /// The list of models.
    Models,
    /// A body that two readers could read differently: it names its model twice.
    Doubtful,
}

/// What must come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// A whole answer.
    Whole,
    /// An error of this status and type.
    Error(u16, &'static str),
    /// An answer that begins and breaks off, seen as such.
    Broken,
    /// The client leaves in the middle.
    Left,
}

const SCENES: [Scene; 19] = [
    scene("plain answers", Part::Research, 6, Ask::Plain(LARGE), "", Want::Whole),
    scene("streams with thinking", Part::Research, 6, Ask::Stream(LARGE), "thinking; pace_ms=4", Want::Whole),
    scene(
        "streams that ask for a tool",
        Part::Research,
        4,
        Ask::Stream(MIDDLE),
        r#"text=Let me look.; tool=Read:{"path":"README.md"}; pace_ms=4"#,
        Want::Whole,
    ),
    scene("streams that broke off", Part::Research, 2, Ask::Stream(LARGE), "events=20; cut=9", Want::Broken),
    scene("long streams", Part::Platform, 4, Ask::Stream(MIDDLE), "size=200kb; events=400", Want::Whole),
    scene(
        "answers from the prompt cache",
        Part::Platform,
        6,
        Ask::Plain(MIDDLE),
        "usage=in:12,out:340,cr:48000,c5:2100,c1:600",
        Want::Whole,
    ),
    scene("counts of tokens", Part::Platform, 4, Ask::Count(MIDDLE), "", Want::Whole),
    scene("lists of models", Part::Platform, 2, Ask::Models, "", Want::Whole),
    scene(
        "clients that left in the middle",
        Part::Platform,
        2,
        Ask::Stream(LARGE),
        "events=40; stall; at=8",
        Want::Left,
    ),
    scene(
        "answers of an overloaded API",
        Part::Platform,
        3,
        Ask::Plain(LARGE),
        "status=529",
        Want::Error(529, "overloaded_error"),
    ),
    scene(
        "answers of a limiting API",
        Part::Platform,
        1,
        Ask::Stream(LARGE),
        "status=429; retry_after=2",
        Want::Error(429, "rate_limit_error"),
    ),
    scene("small plain answers", Part::Support, 8, Ask::Plain(SMALL), "", Want::Whole),
    scene("small streams", Part::Support, 6, Ask::Stream(SMALL), "events=30; pace_ms=2", Want::Whole),
    scene("compressed answers", Part::Support, 2, Ask::Plain(SMALL), "gzip", Want::Whole),
    scene(
        "requests for a model that is not allowed",
        Part::Support,
        3,
        Ask::Plain(LARGE),
        "",
        Want::Error(403, "permission_error"),
    ),
    scene(
        "requests that name two models",
        Part::Support,
        1,
        Ask::Doubtful,
        "",
        Want::Error(400, "invalid_request_error"),
    ),
    scene("answers within a budget", Part::Intern, 2, Ask::Plain(SMALL), "", Want::Whole),
    scene(
        "requests that a budget refuses",
        Part::Intern,
        3,
        Ask::Plain(LARGE),
        "",
        Want::Error(429, "billing_error"),
    ),
    scene(
        "requests without a good key",
        Part::Stranger,
        3,
        Ask::Plain(SMALL),
        "",
        Want::Error(401, "authentication_error"),
    ),
];

const fn scene(
    title: &'static str,
    part: Part,
    times: usize,
    ask: Ask,
    directives: &'static str,
    want: Want,
) -> Scene {
    Scene { title, part, times, ask, directives, want }
}

impl Ask {
    /// Method and path.
    pub(super) fn target(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain(_) | Self::Stream(_) | Self::Doubtful => ("POST", "/v1/messages"),
            Self::Count(_) => ("POST", "/v1/messages/count_tokens"),
            Self::Models => ("GET", "/v1/models"),
        }
    }

    /// The model that is asked; none where none is.
    pub(super) fn model(self) -> Option<&'static str> {
        match self {
            Self::Plain(model) | Self::Stream(model) | Self::Count(model) => Some(model),
            Self::Models | Self::Doubtful => None,
        }
    }

    /// The body of the request.
    pub(super) fn body(self, number: usize) -> Vec<u8> {
        let messages =
            json!([{ "role": "user", "content": format!("This is request {number} of the demo.") }]);
        let body: Value = match self {
            Self::Plain(model) => json!({ "model": model, "max_tokens": 1024, "messages": messages }),
            Self::Stream(model) => {
                json!({ "model": model, "max_tokens": 1024, "stream": true, "messages": messages })
            }
            Self::Count(model) => json!({ "model": model, "messages": messages }),
            Self::Models => return Vec::new(),
            Self::Doubtful => {
                return br#"{"model":"claude-haiku-5-5","mod\u0065l":"claude-opus-5-5","max_tokens":9,"messages":[]}"#
                    .to_vec();
            }
        };
        body.to_string().into_bytes()
    }
}

/// Sends the whole burst at once and waits for all of it.
pub(super) async fn send(gateway: SocketAddr, cast: &Cast, printer: &Printer) -> Vec<Exchange> {
    let all: Vec<Scene> = SCENES.iter().flat_map(|scene| std::iter::repeat_n(*scene, scene.times)).collect();
    let mut progress = printer.progress("requests", all.len() as u64);
    let mut running = JoinSet::new();
    for (number, scene) in all.into_iter().enumerate() {
        let credential = cast.credential(scene.part).to_owned();
        running.spawn(send_one(gateway, scene, number + 1, credential));
    }
    let mut exchanges = Vec::new();
    while let Some(ended) = running.join_next().await {
        progress.step();
        // Only a panic loses one, and then the count of its scene is short.
        exchanges.extend(ended);
    }
    progress.finish();
    exchanges
}

/// Says for each scene whether all of its exchanges ended as they should.
pub(super) fn judge(exchanges: &[Exchange], printer: &Printer) -> bool {
    let mut good = true;
    for scene in &SCENES {
        let of_scene = exchanges.iter().filter(|exchange| exchange.scene.title == scene.title);
        let (right, wrong): (Vec<_>, Vec<_>) = of_scene.partition(|exchange| exchange.fault.is_none());
        let all = right.len() == scene.times;
        let what = format!("{:<9} {} ({})", scene.part.team(), scene.title, scene.times);
        printer.verdict(all, &what);
        for exchange in wrong {
            printer.warn(exchange.fault.as_deref().unwrap_or_default());
        }
        good &= all;
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_simulator::Script;

    #[test]
    fn the_burst_is_about_sixty_requests_of_four_teams_that_the_simulator_understands() {
        let count: usize = SCENES.iter().map(|scene| scene.times).sum();
        assert!((55..=70).contains(&count), "{count}");
        for scene in &SCENES {
            let read = Script::always(scene.directives);
            assert!(read.is_ok(), "{}: {read:?}", scene.title);
        }
        for part in [Part::Research, Part::Platform, Part::Support, Part::Intern, Part::Stranger] {
            assert!(SCENES.iter().any(|scene| scene.part == part));
        }
    }

    #[test]
    fn clients_leave_where_the_simulator_falls_silent() {
        let silence = format!("at={LEAVE_AFTER_EVENTS}");
        let left = SCENES.iter().filter(|scene| scene.want == Want::Left);
        assert!(left.clone().count() > 0);
        for scene in left {
            assert!(scene.directives.contains(&silence), "{}", scene.directives);
        }
    }
}
