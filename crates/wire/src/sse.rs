//! A decoder for server-sent events: the event stream format of the HTML standard,
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>.

/// Bytes that the lines of one event may have, unless [`Decoder::with_limit`] says otherwise.
pub const EVENT_LIMIT: usize = 4 << 20;

/// Buffers that grew beyond this are given back after the event, as streams live long.
const KEPT_CAPACITY: usize = 64 << 10;

/// A byte order mark, which only the first line may begin with.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The last `event:` line, or `message` if there was none or it was empty.
    pub name: &'a [u8],
    /// The `data:` lines, joined by line feeds. Not checked for UTF-8.
    pub data: &'a [u8],
}

/// Decodes a stream of events, however its bytes are split.
///
/// An event whose lines lie in one pushed chunk is given as slices of that chunk, without a copy. An event that
/// is still incomplete when the stream ends is dropped, as the standard demands.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// The beginning of a line that the last chunk left incomplete.
    line: Vec<u8>,
    /// The rest of the line under way is of no interest; the line is not empty.
    passing_line: bool,
    /// The last line ended with CR: an LF right after it belongs to it.
    after_cr: bool,
    first_line: bool,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// Bytes of the lines of the event under way, comments not counted.
    size: usize,
    /// The event under way is too large: it is passed up to its end.
    passing_event: bool,
    skipped: u64,
}

/// Parts of the event under way that lie in the current chunk; they take precedence over the decoder's own.
#[derive(Default)]
struct Held<'c> {
    name: Option<&'c [u8]>,
    data: Option<&'c [u8]>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder at the beginning of a stream, with [`EVENT_LIMIT`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(EVENT_LIMIT)
    }

    /// A decoder that skips events whose lines have more than `limit` bytes. It never holds more than about
    /// twice that.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            passing_line: false,
            after_cr: false,
            first_line: true,
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            size: 0,
            passing_event: false,
            skipped: 0,
        }
    }

    /// Number of events that were skipped because of their size.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Decodes the next bytes of the stream; `each` is called once for each event that they complete.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Event<'_>)) {
        let mut held = Held::default();
        let mut rest = chunk;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.keep_line(rest, &mut held);
                break;
            };
            let line = &rest[..end];
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if self.passing_line {
                self.passing_line = false;
                self.first_line = false;
            } else if self.line.is_empty() {
                self.end_line(line, &mut held, &mut each);
            } else {
                self.end_kept_line(line, &mut held, &mut each);
            }
        }
        self.keep(held);
    }

    /// The chunk ends inside a line.
    fn keep_line(&mut self, rest: &[u8], held: &mut Held<'_>) {
        if self.passing_line {
            return;
        }
        let mut length = self.line.len() + rest.len();
        let mut start = self.line.iter().chain(rest);
        if self.first_line && start.clone().take(MARK.len()).eq(MARK) {
            length -= MARK.len();
            start.nth(MARK.len() - 1);
        }
        // Up to three bytes may still turn out to be a byte order mark.
        let undecided = self.first_line && length <= MARK.len();
        if self.passing_event || start.next() == Some(&b':') {
            self.passing_line = true;
            self.line.clear();
        } else if !undecided && self.size + length > self.limit {
            self.skip_event(held);
            self.passing_line = true;
        } else {
            self.line.extend_from_slice(rest);
        }
    }

    /// A line ended that began in an earlier chunk.
    fn end_kept_line(&mut self, rest: &[u8], held: &mut Held<'_>, each: &mut impl FnMut(Event<'_>)) {
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(rest);
        // The line does not outlive this call, so what it says goes to the decoder's own buffers.
        let mut own = Held::default();
        std::mem::swap(&mut own.name, &mut held.name);
        std::mem::swap(&mut own.data, &mut held.data);
        self.keep(own);
        let mut own = Held::default();
        self.end_line(&line, &mut own, each);
        self.keep(own);
        line.clear();
        line.shrink_to(KEPT_CAPACITY);
        self.line = line;
    }

    /// A whole line without its end.
    fn end_line<'c>(&mut self, line: &'c [u8], held: &mut Held<'c>, each: &mut impl FnMut(Event<'_>)) {
        let line = self.without_mark(line);
        self.first_line = false;
        if line.is_empty() {
            self.end_event(held, each);
            return;
        }
        if self.passing_event || line[0] == b':' {
            return;
        }
        self.size += line.len();
        if self.size > self.limit {
            self.skip_event(held);
            return;
        }
        match field(line) {
            (b"data", value) => self.add_data(value, held),
            (b"event", value) => held.name = Some(value),
            // `id`, `retry` and unknown fields concern reconnecting clients.
            _ => {}
        }
    }

    fn add_data<'c>(&mut self, value: &'c [u8], held: &mut Held<'c>) {
        if !self.has_data {
            self.has_data = true;
            held.data = Some(value);
            return;
        }
        if let Some(first) = held.data.take() {
            self.data.extend_from_slice(first);
        }
        self.data.push(b'\n');
        self.data.extend_from_slice(value);
    }

    fn end_event(&mut self, held: &mut Held<'_>, each: &mut impl FnMut(Event<'_>)) {
        if self.has_data {
            let name = held.name.unwrap_or(&self.name);
            let name = if name.is_empty() { b"message" } else { name };
            each(Event { name, data: held.data.unwrap_or(&self.data) });
        }
        self.clear_event(held);
        self.passing_event = false;
    }

    fn skip_event(&mut self, held: &mut Held<'_>) {
        self.clear_event(held);
        self.line = Vec::new();
        self.passing_event = true;
        self.skipped += 1;
    }

    fn clear_event(&mut self, held: &mut Held<'_>) {
        *held = Held::default();
        self.name.clear();
        self.data.clear();
        self.data.shrink_to(KEPT_CAPACITY);
        self.has_data = false;
        self.size = 0;
    }

    /// Copies what the event under way still has in a chunk that goes away.
    fn keep(&mut self, held: Held<'_>) {
        if let Some(name) = held.name {
            self.name.clear();
            self.name.extend_from_slice(name);
        }
        if let Some(data) = held.data {
            self.data.extend_from_slice(data);
        }
    }

    fn without_mark<'c>(&self, line: &'c [u8]) -> &'c [u8] {
        if !self.first_line {
            return line;
        }
        line.strip_prefix(MARK).unwrap_or(line)
    }
}

/// Splits a line at its first colon; one space after it does not count.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b':', line) {
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        }
        None => (line, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Events = Vec<(String, String)>;

    fn decode(limit: usize, chunks: &[&[u8]]) -> (Events, u64) {
        let mut decoder = Decoder::with_limit(limit);
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, |event| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                events.push((text(event.name), text(event.data)));
            });
        }
        (events, decoder.skipped())
    }

    #[test]
    fn streams_decode_as_the_standard_says() {
        let rows: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("data: a\n\n", &[("message", "a")]),
            ("data: a\r\n\r\n", &[("message", "a")]),
            ("data: a\r\r", &[("message", "a")]),
            ("data: a\n\r\n", &[("message", "a")]),
            ("event: ping\ndata: {}\n\n", &[("ping", "{}")]),
            ("data: {}\nevent: ping\n\n", &[("ping", "{}")]),
            ("event: a\nevent: b\ndata: 1\n\n", &[("b", "1")]),
            ("event:\ndata: 1\n\n", &[("message", "1")]),
            ("event: a\nevent:\ndata: 1\n\n", &[("message", "1")]),
            ("data:a\n\ndata:  a\n\n", &[("message", "a"), ("message", " a")]),
            ("data: a\ndata: b\ndata:\n\n", &[("message", "a\nb\n")]),
            ("data\n\n", &[("message", "")]),
            ("data:\n\n", &[("message", "")]),
            ("event: a\n\ndata: 1\n\n", &[("message", "1")]),
            (": comment\n\n:\ndata: 1\n: more\n\n", &[("message", "1")]),
            ("id: 7\nretry: 9\nwhat: ever\nno colon\ndata: 1\n\n", &[("message", "1")]),
            ("Data: 1\n\n data: 1\n\n", &[]),
            ("data: a:b\n\n", &[("message", "a:b")]),
            ("\u{feff}data: 1\n\n\u{feff}data: 2\n\n", &[("message", "1")]),
            ("\u{feff}: c\ndata: 1\n\n", &[("message", "1")]),
            ("\u{feff}\ndata: 1\n\n", &[("message", "1")]),
            (": c\n\u{feff}data: 1\n\n", &[]),
            ("data: 1\n\ndata: incomplete\n", &[("message", "1")]),
            ("data: incomplete", &[]),
            ("\n\n\ndata: 1\n\n\n\n", &[("message", "1")]),
        ];
        for (stream, expected) in rows {
            let expected: Events = expected.iter().map(|&(name, data)| (name.into(), data.into())).collect();
            let whole = decode(EVENT_LIMIT, &[stream.as_bytes()]);
            assert_eq!(whole, (expected.clone(), 0), "{stream:?}");
            let single: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(decode(EVENT_LIMIT, &single), (expected, 0), "{stream:?}, byte by byte");
        }
    }

    #[test]
    fn an_event_beyond_the_limit_is_skipped_and_the_next_one_is_read() {
        let rows: &[(&str, u64, usize)] = &[
            ("data: 4567890\n\ndata: 1\n\n", 1, 1),
            ("data: 456789\n\ndata: 1\n\n", 0, 2),
            ("data: 4\ndata: 1\n\ndata: 2\n\n", 1, 1),
            ("data: 45\n: a comment of any length\n\n", 0, 1),
            ("id: 4567890123\n\ndata: 1\n\n", 1, 1),
            ("data: 4567890\ndata: more\nevent: x\n\ndata: 1\n\n", 1, 1),
        ];
        for &(stream, skipped, events) in rows {
            for size in [1, 2, 3, 5, 12, 100] {
                let chunks: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
                let (found, count) = decode(12, &chunks);
                assert_eq!((count, found.len()), (skipped, events), "{stream:?} in chunks of {size}");
            }
        }
    }

    #[test]
    fn an_endless_line_does_not_grow_the_buffers() {
        for start in ["data: ", ": ", "nonsense"] {
            let mut decoder = Decoder::with_limit(1000);
            decoder.push(start.as_bytes(), |_| {});
            for _ in 0..1000 {
                decoder.push(&[b'x'; 700], |_| {});
                assert!(decoder.line.capacity() + decoder.data.capacity() < 5000, "{start}");
            }
        }
    }

    #[test]
    fn an_event_inside_one_chunk_is_not_copied() {
        let chunk = b"event: ping\ndata: {}\n\n";
        let range = chunk.as_ptr_range();
        let mut decoder = Decoder::new();
        let mut calls = 0;
        decoder.push(chunk, |event| {
            calls += 1;
            assert!(range.contains(&event.name.as_ptr()) && range.contains(&event.data.as_ptr()));
        });
        assert_eq!(calls, 1);
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("data"),
            Just("event"),
            Just(":"),
            Just(" "),
            Just("\n"),
            Just("\r"),
            Just("\r\n"),
            Just("\n\n"),
            Just("\u{feff}"),
            Just("data: x"),
            Just("event: ping"),
            Just("{\"a\":\u{e9}}"),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    /// A plain reading of the standard, line by line, to compare with.
    fn reference(stream: &[u8]) -> Events {
        let text = String::from_utf8(stream.to_vec()).unwrap();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
        let (mut events, mut name, mut data) = (Vec::new(), String::new(), String::new());
        let Some((complete, _)) = text.rsplit_once('\n') else {
            return events;
        };
        for line in complete.split('\n') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            if line.is_empty() {
                let (name, mut data) = (std::mem::take(&mut name), std::mem::take(&mut data));
                if data.pop().is_some() {
                    events.push((if name.is_empty() { "message".into() } else { name }, data));
                }
            } else if field == "data" {
                data.push_str(value);
                data.push('\n');
            } else if field == "event" {
                name = value.to_owned();
            }
        }
        events
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            stream in stream(),
            cuts in prop::collection::vec(1_usize..9, 0..60),
            limit in prop_oneof![Just(EVENT_LIMIT), 1_usize..40],
        ) {
            let whole = decode(limit, &[&stream]);
            if limit == EVENT_LIMIT {
                prop_assert_eq!(&whole.0, &reference(&stream));
            }
            let mut chunks: Vec<&[u8]> = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            prop_assert_eq!(decode(limit, &chunks), whole);
        }
    }
}
