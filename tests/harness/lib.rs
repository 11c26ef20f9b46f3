//! What the acceptance tests share: starting a gateway before a simulator, and talking to it.
