//! Reads a gzip answer (RFC 1952) for a meter, within bounds.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::{Content, Metered, Unread};

/// Bytes that an answer may decode to; what exceeds them is not metered. The longest streams of the API stay
/// below a quarter of it.
pub const DECODED_LIMIT: u64 = 256 << 20;

/// Bytes that each encoded byte may decode to, beyond a first MiB. Text reaches about 20, a bomb 1000.
pub const DECODED_RATIO_LIMIT: u64 = 200;

const FREE_BYTES: u64 = 1 << 20;

pub(super) struct Gunzip {
    decoder: MultiGzDecoder<Gauge>,
    unread: Option<Unread>,
}

impl Gunzip {
    pub(super) fn new(content: Content, decoded_limit: u64) -> Self {
        let gauge = Gauge { content, decoded_limit, encoded: 0, decoded: 0, exceeded: false };
        Self { decoder: MultiGzDecoder::new(gauge), unread: None }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.unread.is_some() || bytes.is_empty() {
            return;
        }
        self.decoder.get_mut().encoded += bytes.len() as u64;
        // The decoder holds decoded bytes back until it is flushed.
        if self.decoder.write_all(bytes).and_then(|()| self.decoder.flush()).is_err() {
            let exceeded = self.decoder.get_ref().exceeded;
            // What was decoded before the fault still counts; that the end is bad is known.
            let _ = self.decoder.try_finish();
            self.unread = Some(if exceeded { Unread::DecodedTooLarge } else { Unread::BadGzip });
        }
    }

    pub(super) fn finish(&mut self) -> Metered {
        let metered = self.decoder.get_mut().content.finish();
        Metered { unread: self.unread.or(metered.unread), ..metered }
    }
}

/// Stands between the decoder and the meter and stops what grows out of proportion.
struct Gauge {
    content: Content,
    decoded_limit: u64,
    encoded: u64,
    decoded: u64,
    exceeded: bool,
}

impl Write for Gauge {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.decoded += bytes.len() as u64;
        let proportion = FREE_BYTES + self.encoded * DECODED_RATIO_LIMIT;
        if self.decoded > proportion.min(self.decoded_limit) {
            self.exceeded = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.content.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
