//! One exchange with a gateway, as a client would have it: what is sent is exactly what is asked for, and of the answer
//! every piece is kept with the instant at which it came.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    dial::{DialFault, Stage, Way},
    handshake,
};

/// The longest answer that is kept.
const ANSWER_BYTES: usize = 64 << 20;

/// What to ask.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The method.
    pub(crate) method: Method,
    /// Path and query, as they stand behind the base path of the URL: `/v1/messages?beta=true`.
    pub(crate) target: String,
    /// Headers in order, their names in lower case on the wire, besides `host`, `content-length`, those of the
    /// [`Way`] and, through a proxy, its credential.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Bytes,
    /// How long the other side may be silent.
    pub(crate) silence: Duration,
    /// Leave after so many bytes of the answer's body.
    pub(crate) leave_after: Option<usize>,
}

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// Headers in wire order, names in lower case. A value that is not UTF-8 has one character for each byte.
    pub(crate) headers: Vec<(String, String)>,
    /// When the head was there, from the moment at which the request was sent.
    pub(crate) head_at: Duration,
    /// The body in the pieces in which it came, without its framing.
    pub(crate) pieces: Vec<Piece>,
    /// How the body ended.
    pub(crate) end: End,
}

/// A piece of a body.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// When it came, from the moment at which the request was sent.
    pub(crate) at: Duration,
    /// Its bytes.
    pub(crate) bytes: Bytes,
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Whole, as its framing says.
    Whole,
    /// It broke off, for this reason.
    Cut(String),
    /// Nothing came for as long as was waited.
    Silent,
    /// We left.
    Left,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeFault {
    /// There is no connection.
    #[error("{0}")]
    Dial(#[from] DialFault),
    /// The connection broke before an answer, or what came is no HTTP/1.1.
    #[error("no answer: {}", told(.0))]
    Broken(#[from] hyper::Error),
    /// No answer came in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// What was to be sent is no HTTP.
    #[error("the request can not be made: {0}")]
    Request(String),
}

impl ExchangeFault {
    /// Whether the other side ended TLS with an alert. TLS 1.3 tells a client only behind the handshake that it should
    /// have shown a certificate (RFC 8446, section 4.4.2.4).
    pub(crate) fn is_alert(&self) -> bool {
        matches!(self, Self::Broken(_)) && self.to_string().contains("fatal alert")
    }

    /// What it means, where that can be said better than the library does, and what to do about it.
    pub(crate) fn explained(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Dial(fault) if fault.stage == Stage::Handshake => handshake::explained(&fault.says),
            Self::Broken(_) if self.is_alert() => handshake::explained(&self.to_string()),
            Self::Broken(error) if error.is_parse() => Some((
                "what listens there does not speak HTTP/1.1",
                "Compare the port with the one that you were given; a port for TLS needs https://.",
            )),
            Self::Broken(_) => Some((
                "the connection was closed before an answer",
                "If the port speaks TLS, use https://; else look into the log of the gateway.",
            )),
            Self::Dial(_) | Self::Silent(_) | Self::Request(_) => None,
        }
    }
}

/// An error with what caused it: the library's own sentence does not say that.
fn told(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Ask {
    /// This method on this target, without headers and body, with a patience of 30 s.
    pub(crate) fn new(method: Method, target: impl Into<String>) -> Self {
        let target = target.into();
        let silence = Duration::from_secs(30);
        Self { method, target, headers: Vec::new(), body: Bytes::new(), silence, leave_after: None }
    }

    /// With this header.
    pub(crate) fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With this patience.
    pub(crate) fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Opens a connection, asks, and reads the answer to its end.
    ///
    /// # Errors
    ///
    /// [`ExchangeFault`]. A body that breaks off is none; see [`End`].
    pub(crate) async fn send(self, way: &Way) -> Result<Answer, ExchangeFault> {
        Line::open(way).await?.send(&self, way).await
    }

    fn request(&self, way: &Way) -> Result<Request<Full<Bytes>>, ExchangeFault> {
        let fault = |error: hyper::http::Error| ExchangeFault::Request(error.to_string());
        let relayed = way.proxy.as_ref().filter(|_| !way.url.tls());
        let origin = relayed.map(|_| format!("http://{}", way.url.authority())).unwrap_or_default();
        let target = format!("{origin}{}{}", way.url.base_path(), self.target);
        let mut request =
            Request::builder().method(self.method.clone()).uri(target).header("host", way.url.authority());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for extra in &way.extras {
            request = request.header(&extra.name, extra.reveal());
        }
        if let Some(authorization) = relayed.and_then(crate::proxy::Proxy::authorization) {
            request = request.header("proxy-authorization", authorization);
        }
        request.body(Full::new(self.body.clone())).map_err(fault)
    }

    async fn read(&self, mut body: Incoming, began: Instant) -> (Vec<Piece>, End) {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        loop {
            let frame = match timeout(self.silence, body.frame()).await {
                Err(_) => return (pieces, End::Silent),
                Ok(None) => return (pieces, End::Whole),
                Ok(Some(Err(error))) => return (pieces, End::Cut(error.to_string())),
                Ok(Some(Ok(frame))) => frame,
            };
            if let Ok(data) = frame.into_data() {
                bytes += data.len();
                pieces.push(Piece { at: began.elapsed(), bytes: data });
            }
            if self.leave_after.is_some_and(|most| bytes >= most) || bytes > ANSWER_BYTES {
                return (pieces, End::Left);
            }
        }
    }
}

/// An open connection. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Line {
    sender: http1::SendRequest<Full<Bytes>>,
    /// What breaks it is told to the reader, if there is one by then.
    running: Option<JoinHandle<Result<(), hyper::Error>>>,
}

impl Line {
    /// Opens one.
    ///
    /// # Errors
    ///
    /// [`ExchangeFault::Dial`], [`ExchangeFault::Broken`].
    pub(crate) async fn open(way: &Way) -> Result<Self, ExchangeFault> {
        let dialed = way.dial().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(dialed.stream)).await?;
        Ok(Self { sender, running: Some(tokio::spawn(connection)) })
    }

    /// Asks, and reads the answer to its end.
    ///
    /// # Errors
    ///
    /// As [`Ask::send`], and [`ExchangeFault::Broken`] where the other side has closed the connection.
    pub(crate) async fn send(&mut self, ask: &Ask, way: &Way) -> Result<Answer, ExchangeFault> {
        let request = ask.request(way)?;
        if let Err(error) = self.sender.ready().await {
            return Err(self.broken(error).await);
        }
        let began = Instant::now();
        let answer = timeout(ask.silence, self.sender.send_request(request)).await;
        let (head, body) = match answer.map_err(|_| ExchangeFault::Silent(ask.silence))? {
            Ok(answer) => answer.into_parts(),
            Err(error) => return Err(self.broken(error).await),
        };
        let head_at = began.elapsed();
        let text = |value: &hyper::header::HeaderValue| match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => text.to_owned(),
            Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
        };
        let headers =
            head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let (pieces, end) = ask.read(body, began).await;
        Ok(Answer { status: head.status.as_u16(), headers, head_at, pieces, end })
    }

    /// What broke the connection. Of one that broke before it was asked, the asking side knows only that it is closed.
    async fn broken(&mut self, error: hyper::Error) -> ExchangeFault {
        let ended = self.running.take_if(|_| error.is_closed() || error.is_canceled());
        match ended {
            Some(running) => running.await.ok().and_then(Result::err).unwrap_or(error).into(),
            None => error.into(),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

impl Answer {
    /// The first header of this name, which is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The body.
    pub(crate) fn body(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect()
    }

    /// The body as text, with a replacement for what is none.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_simulator::{Config, Simulator};

    #[tokio::test]
    async fn what_is_asked_arrives_as_it_is_and_pieces_come_when_they_are_sent() {
        let simulator = Simulator::start(Config::default()).await.unwrap();
        let way = Way::to(simulator.url().parse().unwrap());
        let ask = |directive: &str| {
            Ask::new(Method::POST, "/v1/messages?beta=true")
                .header("x-odd", "\u{e9} 1,2")
                .header("anthropic-version", "2023-06-01")
                .header("x-simulator", directive)
                .body(r#"{"model":"claude-opus-5-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#)
        };
        let answer = ask("events=4;pace_ms=30").send(&way).await.unwrap();
        assert_eq!((answer.status, &answer.end), (200, &End::Whole));
        assert!(answer.pieces.last().unwrap().at - answer.pieces[0].at >= Duration::from_millis(90));
        let seen = simulator.record().requests().pop().unwrap();
        assert_eq!(seen.target, "/v1/messages?beta=true");
        assert_eq!(seen.header("x-odd"), Some("\u{e9} 1,2"), "{:?}", seen.headers);

        let cut = ask("cut").send(&way).await.unwrap();
        assert!(matches!(cut.end, End::Cut(_)), "{:?}", cut.end);
        let left = Ask { leave_after: Some(1), ..ask("events=4;pace_ms=30") }.send(&way).await.unwrap();
        assert_eq!(left.end, End::Left);
        let silent = ask("stall").silence(Duration::from_millis(100)).send(&way).await.unwrap();
        assert_eq!(silent.end, End::Silent);
        simulator.stop().await;
    }
}
