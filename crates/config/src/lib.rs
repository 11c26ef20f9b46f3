//! What is wished: configuration text to Document to Snapshot.
