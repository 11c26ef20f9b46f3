//! What is remembered: journal, directory and ledger.
