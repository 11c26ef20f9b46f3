//! Which records count in a question, and to which group each belongs, as far as that depends on what records have in
//! common.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, Row};

use super::dims::tags_of;
use super::query::{Dimension, Only};
use crate::fault::LedgerFault;

/// What a question makes of each set of values in the table of dims.
pub(super) struct Sieve {
    /// By the number of the set; none where it does not count.
    places: Vec<Option<Place>>,
    groups: Vec<Vec<Option<String>>>,
}

/// Where the records of one set of values belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of the group.
    pub(super) group: u32,
    /// How the requests ended.
    pub(super) end: End,
}

/// How a request ended, as reports count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it should, or an adjustment of a request whose end is not known any more.
    Good,
    /// By a fault of an upstream.
    Error,
    /// The client left.
    Aborted,
    /// Nobody saw it.
    Unknown,
}

impl Sieve {
    /// Applies the conditions, and groups what is left by the dimensions; both as far as they are about dims.
    pub(super) fn read(database: &Connection, by: &[Dimension], only: &[Only]) -> Result<Self, LedgerFault> {
        let by: Vec<_> = by.iter().filter(|dimension| dimension.is_common()).collect();
        let only: Vec<_> = only.iter().filter(|only| only.dimension.is_common()).collect();
        let columns = Columns::of(by.iter().copied().chain(only.iter().map(|only| &only.dimension)));
        let mut statement =
            database.prepare(&format!("SELECT {} FROM dims ORDER BY id", columns.0.join(", ")))?;
        let mut rows = statement.query([])?;
        let mut sieve = Self { places: Vec::new(), groups: Vec::new() };
        let mut numbers: HashMap<Vec<Option<String>>, u32> = HashMap::new();
        while let Some(row) = rows.next()? {
            let values = columns.values(row)?;
            let allowed = only.iter().all(|only| only.allows(values.of(&only.dimension)));
            let place = allowed
                .then(|| {
                    let group: Vec<_> = by.iter().map(|by| values.of(by).map(str::to_owned)).collect();
                    let next = u32::try_from(numbers.len()).map_err(|_| LedgerFault::TooManyGroups)?;
                    let number = *numbers.entry(group).or_insert_with_key(|group| {
                        sieve.groups.push(group.clone());
                        next
                    });
                    Ok::<_, LedgerFault>(Place { group: number, end: values.end() })
                })
                .transpose()?;
            let id = usize::try_from(row.get::<_, i64>(0)?).map_err(|_| not_a_number())?;
            // Numbers are given one after the other; a gap would be of somebody else's making.
            if id != sieve.places.len() + 1 {
                return Err(not_a_number());
            }
            sieve.places.push(place);
        }
        Ok(sieve)
    }

    /// Where the records with this number of dims belong; none when they do not count.
    pub(super) fn place(&self, dims: i64) -> Result<Option<Place>, LedgerFault> {
        let index = usize::try_from(dims).ok().and_then(|dims| dims.checked_sub(1));
        index.and_then(|index| self.places.get(index)).copied().ok_or_else(not_a_number)
    }

    /// The values of a group, for those of the dimensions that are about dims.
    pub(super) fn group(&self, number: u32) -> &[Option<String>] {
        self.groups.get(number as usize).map_or(&[], Vec::as_slice)
    }

    /// The numbers of all dims that count, if they are few.
    pub(super) fn few(&self, most: usize) -> Option<Vec<i64>> {
        let counting = (1..).zip(&self.places).filter(|(_, place)| place.is_some()).map(|(id, _)| id);
        let few: Vec<_> = counting.take(most + 1).collect();
        (few.len() <= most).then_some(few)
    }
}

fn not_a_number() -> LedgerFault {
    LedgerFault::Damaged("a record belongs to dims that are not there".to_owned())
}

/// The columns that a question needs of the table of dims.
struct Columns(Vec<&'static str>);

impl Columns {
    fn of<'q>(dimensions: impl Iterator<Item = &'q Dimension>) -> Self {
        let mut columns = vec!["id", "outcome"];
        for dimension in dimensions {
            let column = dimension.column().unwrap_or("tags");
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        Self(columns)
    }

    fn values<'r>(&'r self, row: &'r Row<'_>) -> Result<Values<'r>, LedgerFault> {
        let mut texts = vec![None];
        for column in 1..self.0.len() {
            texts.push(row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?);
        }
        let mut values = Values { columns: &self.0, texts, tags: BTreeMap::new() };
        values.tags = tags_of(values.text("tags"))?;
        Ok(values)
    }
}

/// One row of the table of dims.
struct Values<'r> {
    columns: &'r [&'static str],
    texts: Vec<Option<&'r str>>,
    tags: BTreeMap<String, String>,
}

impl Values<'_> {
    fn of(&self, dimension: &Dimension) -> Option<&str> {
        match dimension {
            Dimension::Tag(name) => self.tags.get(name).map(String::as_str),
            other => other.column().and_then(|column| self.text(column)),
        }
    }

    fn text(&self, column: &str) -> Option<&str> {
        let place = self.columns.iter().position(|name| *name == column)?;
        self.texts[place]
    }

    fn end(&self) -> End {
        match self.text("outcome") {
            Some("upstream_error" | "cut" | "failed") => End::Error,
            Some("aborted") => End::Aborted,
            Some("unknown") => End::Unknown,
            _ => End::Good,
        }
    }
}
