//! What is run: the `tollgate` command.
fn main() {}
