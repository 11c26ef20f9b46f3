//! HTTP/1.1 framing, strictly (RFC 9112).
//!
//! A gateway that reads a message differently from the server behind it lets one request hide in another. So
//! everything that RFC 9112 allows a recipient to be lenient about is refused here: bare LF, bare CR, folded
//! lines, blanks before a colon, more than one `Content-Length`, `Content-Length` beside `Transfer-Encoding`,
//! any transfer coding but a single `chunked`. Nothing is repaired.
//!
//! The parsers work over bytes that the caller holds; they return ranges, copy nothing, and know no socket.

mod framing;
mod head;
mod host;

pub use framing::{BadChunk, Chunked, Progress};
pub use head::{BadHead, Field, Framing, HeadLimits, RequestHead, ResponseHead};
