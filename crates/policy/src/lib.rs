//! What is decided: principals, access, prices, denials, and what a journal entry holds.
