//! The table of animals.

use super::Animal;
use super::habits::FAITHFUL;

/// Every animal, the faithful one first.
pub static ANIMALS: &[Animal] =
    &[Animal { name: "faithful", about: "does everything right", fails: &[], habits: FAITHFUL }];
