//! What is imitated: a scripted Anthropic API with faults.
