//! What is measured: one row for each workload.

/// One kind of traffic, and what is counted in it.
#[derive(Debug)]
pub(crate) struct Workload {
    /// Its name, as `--only` takes it.
    pub(crate) name: &'static str,
    /// What it is, in a few words.
    pub(crate) about: &'static str,
    /// How clients behave.
    pub(crate) traffic: Traffic,
    /// What the upstream answers.
    pub(crate) answer: Answer,
    /// The length of each request's body.
    pub(crate) body_bytes: usize,
}

/// How clients behave.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Traffic {
    /// So many connections, each of which sends the next request as soon as the answer is whole.
    Loop {
        /// The number of connections.
        connections: usize,
    },
    /// So many streams at once, each opened once and read to its end.
    Streams {
        /// The number of streams.
        streams: usize,
    },
    /// So many streams that have begun and say nothing; what is measured is memory.
    Idle {
        /// The number of streams.
        streams: usize,
    },
}

/// What the upstream answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// One JSON message.
    Json,
    /// A stream of so many events, all written at once.
    Burst {
        /// The number of events.
        events: usize,
    },
    /// A stream of so many events, one written every `gap_ms`.
    Paced {
        /// The number of events.
        events: usize,
        /// Milliseconds between two events.
        gap_ms: u64,
    },
    /// A stream that begins and then waits until the upstream is told to go on.
    Held,
}

impl Answer {
    /// How many events the answer has; none where it is not a stream.
    pub(crate) fn events(self) -> usize {
        match self {
            Answer::Json => 0,
            Answer::Burst { events } | Answer::Paced { events, .. } => events,
            Answer::Held => 8,
        }
    }
}

/// What one figure is a figure of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds of CPU for each request.
    Request,
    /// Microseconds of CPU for each event of a stream.
    Event,
    /// Microseconds of CPU for each stream.
    Stream,
    /// Kilobytes of memory for each open stream.
    StreamMemory,
}

impl Unit {
    /// As a heading has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Unit::Request => "us/request",
            Unit::Event => "us/event",
            Unit::Stream => "us/stream",
            Unit::StreamMemory => "KB/stream",
        }
    }
}

/// From this size on, nginx is measured with a second configuration that suits large bodies better.
const LARGE_BODY_BYTES: usize = 100_000;
const SMALL_BODY_BYTES: usize = 1_024;

/// All workloads, in the order in which they run.
pub(crate) static ALL: [Workload; 8] = [
    Workload {
        name: "small_c1",
        about: "1 KB requests, one client",
        traffic: Traffic::Loop { connections: 1 },
        answer: Answer::Json,
        body_bytes: SMALL_BODY_BYTES,
    },
    Workload {
        name: "small_c32",
        about: "1 KB requests, 32 clients",
        traffic: Traffic::Loop { connections: 32 },
        answer: Answer::Json,
        body_bytes: SMALL_BODY_BYTES,
    },
    Workload {
        name: "small_c256",
        about: "1 KB requests, 256 clients",
        traffic: Traffic::Loop { connections: 256 },
        answer: Answer::Json,
        body_bytes: SMALL_BODY_BYTES,
    },
    Workload {
        name: "body_200k",
        about: "200 KB requests, 16 clients",
        traffic: Traffic::Loop { connections: 16 },
        answer: Answer::Json,
        body_bytes: 200 * 1024,
    },
    Workload {
        name: "body_1m",
        about: "1 MB requests, 8 clients",
        traffic: Traffic::Loop { connections: 8 },
        answer: Answer::Json,
        body_bytes: 1024 * 1024,
    },
    Workload {
        name: "sse_1000",
        about: "1,000 streams at once, an event every 60 ms in each",
        traffic: Traffic::Streams { streams: 1_000 },
        answer: Answer::Paced { events: 64, gap_ms: 60 },
        body_bytes: SMALL_BODY_BYTES,
    },
    Workload {
        name: "sse_short",
        about: "streams of 30 events sent at once, 32 clients",
        traffic: Traffic::Loop { connections: 32 },
        answer: Answer::Burst { events: 30 },
        body_bytes: SMALL_BODY_BYTES,
    },
    Workload {
        name: "idle",
        about: "5,000 open streams in which nothing happens",
        traffic: Traffic::Idle { streams: 5_000 },
        answer: Answer::Held,
        body_bytes: SMALL_BODY_BYTES,
    },
];

impl Workload {
    /// The workload of that name.
    pub(crate) fn of_name(name: &str) -> Option<&'static Workload> {
        ALL.iter().find(|workload| workload.name == name)
    }

    /// What its figure is a figure of.
    pub(crate) fn unit(&self) -> Unit {
        match (self.traffic, self.answer) {
            (Traffic::Idle { .. }, _) => Unit::StreamMemory,
            (_, Answer::Json) => Unit::Request,
            (_, Answer::Paced { .. }) => Unit::Event,
            (_, Answer::Burst { .. } | Answer::Held) => Unit::Stream,
        }
    }

    /// Whether its bodies are so large that nginx deserves a buffer that takes them whole.
    pub(crate) fn has_large_bodies(&self) -> bool {
        self.body_bytes >= LARGE_BODY_BYTES
    }

    /// Whether the gateway is also measured with allowances: where one request costs least, they show most.
    pub(crate) fn has_allowances(&self) -> bool {
        matches!(self.traffic, Traffic::Loop { connections: ..=32 })
            && matches!(self.answer, Answer::Json)
            && self.body_bytes == SMALL_BODY_BYTES
    }

    /// How many of its units are in so many answers.
    pub(crate) fn units(&self, answers: u64) -> u64 {
        match self.unit() {
            Unit::Event => answers * self.answer.events() as u64,
            Unit::Request | Unit::Stream | Unit::StreamMemory => answers,
        }
    }
}
