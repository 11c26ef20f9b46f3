//! What is said: the Anthropic protocol and HTTP/1 framing as data.
