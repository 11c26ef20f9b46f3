//! What many records have in common is stored once, and named by a number.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use tollgate_policy::entry::{Adjusted, Outcome, Settled};

use crate::fault::LedgerFault;

/// The columns of the table `dims` after its id.
pub(super) const COLUMNS: [&str; 15] = [
    "key",
    "org",
    "team",
    "project",
    "user",
    "cost_centre",
    "model",
    "upstream",
    "endpoint",
    "requested_model",
    "further_models",
    "region",
    "tags",
    "outcome",
    "price_version",
];

/// Of these, the first that an adjustment names too, so that it is booked there even if the record that it corrects is
/// no longer known.
pub(super) const OF_ADJUSTMENTS: usize = 8;

/// The columns of coarse dims, the others of which say nothing. They have few values: a company has many people, keys,
/// projects, cost centres and tags. So there are so few coarse sums of days that a year of them is read at once.
const COARSE: [&str; 8] =
    ["org", "team", "model", "upstream", "endpoint", "requested_model", "region", "outcome"];

/// Whether coarse dims tell a column.
pub(super) fn is_coarse(column: &str) -> bool {
    COARSE.contains(&column)
}

/// The most sets of values that are remembered in memory beside the database.
const KNOWN_MAX: usize = if cfg!(test) { 8 } else { 1 << 17 };

/// One set of values, in the order of [`COLUMNS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dims<'a>([Option<Cow<'a, str>>; COLUMNS.len()]);

impl<'a> Dims<'a> {
    /// Those of a settlement.
    pub(super) fn of(settled: &'a Settled) -> Self {
        let scope = &settled.scope;
        let model = settled.served_model.as_deref().or(settled.model.as_deref());
        Self([
            Some(settled.key.to_string().into()),
            Some(scope.org.as_str().into()),
            Some(scope.team.as_str().into()),
            scope.project.as_ref().map(|project| project.as_str().into()),
            scope.user.as_ref().map(|user| user.as_str().into()),
            settled.cost_centre.as_ref().map(|cost_centre| cost_centre.as_str().into()),
            model.map(Into::into),
            Some(settled.upstream.as_str().into()),
            Some(settled.endpoint.as_str().into()),
            settled.model.as_deref().map(Into::into),
            further_models(settled, model).map(Into::into),
            settled.region.as_deref().map(Into::into),
            tags_text(&settled.tags).map(Into::into),
            Some(outcome_word(settled.outcome).into()),
            Some(settled.price_version.as_str().into()),
        ])
    }

    /// What an adjustment says by itself.
    pub(super) fn of_adjusted(adjusted: &'a Adjusted) -> Self {
        let scope = &adjusted.scope;
        let mut dims = Self([const { None }; COLUMNS.len()]);
        let known: [_; OF_ADJUSTMENTS] = [
            Some(adjusted.key.to_string().into()),
            Some(scope.org.as_str().into()),
            Some(scope.team.as_str().into()),
            scope.project.as_ref().map(|project| project.as_str().into()),
            scope.user.as_ref().map(|user| user.as_str().into()),
            adjusted.cost_centre.as_ref().map(|cost_centre| cost_centre.as_str().into()),
            adjusted.model.as_deref().map(Into::into),
            Some(adjusted.upstream.as_str().into()),
        ];
        for (place, value) in dims.0.iter_mut().zip(known) {
            *place = value;
        }
        dims
    }

    /// Those of a row, whose columns from `first` on are [`COLUMNS`].
    pub(super) fn of_row(row: &'a rusqlite::Row<'_>, first: usize) -> Result<Self, LedgerFault> {
        let mut dims = Self([const { None }; COLUMNS.len()]);
        for (column, value) in dims.0.iter_mut().enumerate() {
            *value =
                row.get_ref(first + column)?.as_str_or_null().map_err(rusqlite::Error::from)?.map(Into::into);
        }
        Ok(dims)
    }

    /// The coarse dims that these belong to.
    pub(super) fn coarse(&self) -> Dims<'_> {
        let mut coarse = Dims([const { None }; COLUMNS.len()]);
        for ((place, value), column) in coarse.0.iter_mut().zip(&self.0).zip(COLUMNS) {
            *place = value.as_deref().filter(|_| is_coarse(column)).map(Into::into);
        }
        coarse
    }

    /// The same, borrowing nothing.
    pub(super) fn into_owned(self) -> Dims<'static> {
        Dims(self.0.map(|value| value.map(|text| Cow::Owned(text.into_owned()))))
    }

    /// The values, in the order of [`COLUMNS`].
    pub(super) fn values(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().map(Option::as_deref)
    }

    /// Of these, the ones that adjustments name.
    pub(super) fn values_of_adjustments(&self) -> impl Iterator<Item = Option<&str>> {
        self.values().take(OF_ADJUSTMENTS)
    }

    /// The set as bytes: no two sets have the same.
    pub(super) fn write_key(&self, key: &mut Vec<u8>) {
        write_key(&self.0, key);
    }

    /// The part of it that adjustments name, as bytes.
    pub(super) fn write_key_of_adjustments(&self, key: &mut Vec<u8>) {
        write_key(&self.0[..OF_ADJUSTMENTS], key);
    }

    /// Whether the two agree in what adjustments name.
    pub(super) fn fits_adjustment(&self, other: &Dims<'_>) -> bool {
        self.0[..OF_ADJUSTMENTS] == other.0[..OF_ADJUSTMENTS]
    }
}

fn write_key(values: &[Option<Cow<'_, str>>], key: &mut Vec<u8>) {
    for value in values {
        // The length before the text, so that the border between two texts is certain.
        match value {
            None => key.extend_from_slice(&u64::MAX.to_le_bytes()),
            Some(text) => {
                key.extend_from_slice(&(text.len() as u64).to_le_bytes());
                key.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// The models of iterations but the one that answered, with commas. None where there are none.
fn further_models(settled: &Settled, model: Option<&str>) -> Option<String> {
    let mut models = settled.usage.models();
    if let Some(model) = model {
        models.remove(model);
    }
    let models: Vec<&str> = models.into_iter().collect();
    Some(models.join(",")).filter(|models| !models.is_empty())
}

/// The outcome as the journal spells it.
pub(super) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Aborted => "aborted",
        Outcome::Cut => "cut",
        Outcome::UpstreamError => "upstream_error",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}

/// The outcome of that word.
pub(super) fn outcome_of(word: &str) -> Option<Outcome> {
    use Outcome::{Aborted, Complete, Cut, Failed, Unknown, UpstreamError};
    [Complete, Aborted, Cut, UpstreamError, Failed, Unknown]
        .into_iter()
        .find(|outcome| outcome_word(*outcome) == word)
}

/// Tags as text: a JSON object with its keys in order. None when there are none.
fn tags_text(tags: &BTreeMap<String, String>) -> Option<String> {
    // A map of texts has a text.
    Some(tags).filter(|tags| !tags.is_empty()).and_then(|tags| serde_json::to_string(tags).ok())
}

/// The tags of a text that [`tags_text`] made.
pub(super) fn tags_of(text: Option<&str>) -> Result<BTreeMap<String, String>, LedgerFault> {
    text.map_or(Ok(BTreeMap::new()), |text| {
        serde_json::from_str(text).map_err(|error| LedgerFault::Damaged(format!("tags: {error}")))
    })
}

/// The number of a set of values, and that of its coarse dims.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    pub(super) dims: i64,
    pub(super) coarse: i64,
}

/// Gives each set of values its number, the same in every ledger of one journal.
#[derive(Default)]
pub(super) struct Interner {
    known: HashMap<Box<[u8]>, Ids>,
    key: Vec<u8>,
}

impl Interner {
    /// Forgets what is remembered, after a transaction that was not committed.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The numbers of a set and of its coarse dims; new ones if they were not seen before.
    pub(super) fn ids(&mut self, database: &Connection, dims: &Dims<'_>) -> Result<Ids, LedgerFault> {
        self.key.clear();
        dims.write_key(&mut self.key);
        if let Some(ids) = self.known.get(self.key.as_slice()) {
            return Ok(*ids);
        }
        let ids = Ids { dims: id(database, dims)?, coarse: id(database, &dims.coarse())? };
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(self.key.as_slice().into(), ids);
        Ok(ids)
    }
}

fn id(database: &Connection, dims: &Dims<'_>) -> Result<i64, LedgerFault> {
    match find(database, dims)? {
        Some(id) => Ok(id),
        None => insert(database, dims),
    }
}

fn find(database: &Connection, dims: &Dims<'_>) -> Result<Option<i64>, LedgerFault> {
    let conditions = COLUMNS.map(|column| format!("{column} IS ?")).join(" AND ");
    let mut statement = database.prepare_cached(&format!("SELECT id FROM dims WHERE {conditions}"))?;
    Ok(statement.query_row(params_from_iter(dims.values()), |row| row.get(0)).optional()?)
}

fn insert(database: &Connection, dims: &Dims<'_>) -> Result<i64, LedgerFault> {
    let (columns, places) = (COLUMNS.join(", "), COLUMNS.map(|_| "?").join(", "));
    let mut statement =
        database.prepare_cached(&format!("INSERT INTO dims ({columns}) VALUES ({places})"))?;
    Ok(statement.insert(params_from_iter(dims.values()))?)
}

/// A text or nothing, as a value of the database.
pub(super) fn value(text: Option<&str>) -> ValueRef<'_> {
    text.map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()))
}
