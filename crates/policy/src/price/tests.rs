//! Prices: what a bill must be.
use super::*;

#[test]
fn the_builtin_book_is_valid() {
    assert_eq!(PriceBook::parse(BUILTIN).err(), None);
}
