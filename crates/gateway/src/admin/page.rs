//! Lists in pages.

use schemars::JsonSchema;
use serde::Serialize;

use super::fault::AdminFault;

/// Rows of a page, if nothing is said.
pub(super) const ROWS: usize = 100;
/// Rows of a page, at most.
pub(super) const ROWS_MAX: usize = 1000;

/// One page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub(super) struct Page<T> {
    /// The rows, in an order that does not change.
    pub(super) data: Vec<T>,
    /// What to send as `after` to see the next page; null on the last one.
    pub(super) next: Option<String>,
}

/// How many rows are wished for.
pub(super) fn limit(wish: Option<usize>) -> Result<usize, AdminFault> {
    match wish {
        None => Ok(ROWS),
        Some(rows) if (1..=ROWS_MAX).contains(&rows) => Ok(rows),
        Some(_) => Err(AdminFault::BadRequest(format!("limit: 1 to {ROWS_MAX}"))),
    }
}

impl<T> Page<T> {
    /// The first `limit` rows. `cursor` says how a row is named as `after`.
    pub(super) fn of(rows: impl Iterator<Item = T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let mut data: Vec<T> = rows.take(limit + 1).collect();
        let more = data.len() > limit;
        data.truncate(limit);
        let next = data.last().filter(|_| more).map(cursor);
        Self { data, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_on_one_page() {
        for count in 0..7_u32 {
            let (mut after, mut seen) = (0, Vec::new());
            loop {
                let page = Page::of((1..=count).filter(|row| *row > after), 3, u32::to_string);
                assert!(page.data.len() <= 3);
                seen.extend(page.data);
                match page.next {
                    Some(next) => after = next.parse().unwrap(),
                    None => break,
                }
            }
            assert_eq!(seen, (1..=count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_page_has_a_sensible_length() {
        for (wish, expected) in [(None, Some(100)), (Some(1), Some(1)), (Some(0), None), (Some(1001), None)] {
            assert_eq!(limit(wish).ok(), expected, "{wish:?}");
        }
    }
}
