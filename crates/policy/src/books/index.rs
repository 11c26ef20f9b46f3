//! Which allowances may count a request, found by the most specific field of their selectors, so that a request does
//! not look at the allowances of other teams.

use std::collections::HashMap;

use crate::allowance::{Allowance, Level, Selector};
use crate::id::KeyId;
use crate::scope::{Name, Scope};

use super::rotations::Rotations;

/// Numbers of allowances, by what they are for.
#[derive(Debug, Default)]
pub(super) struct Index {
    everyone: Vec<u32>,
    orgs: HashMap<Name, Vec<u32>>,
    teams: HashMap<Name, Vec<u32>>,
    projects: HashMap<Name, Vec<u32>>,
    users: HashMap<Name, Vec<u32>>,
    keys: HashMap<KeyId, Vec<u32>>,
}

impl Index {
    pub(super) fn new(allowances: &[Allowance], rotations: &Rotations) -> Self {
        let mut index = Self::default();
        for (number, allowance) in (0..).zip(allowances) {
            index.list(&allowance.on, rotations).push(number);
        }
        index
    }

    fn list(&mut self, on: &Selector, rotations: &Rotations) -> &mut Vec<u32> {
        if let Some(key) = on.key {
            return self.keys.entry(rotations.first(key)).or_default();
        }
        let (names, name) = match on {
            Selector { user: Some(user), .. } => (&mut self.users, user),
            Selector { project: Some(project), .. } => (&mut self.projects, project),
            Selector { team: Some(team), .. } => (&mut self.teams, team),
            Selector { org: Some(org), .. } => (&mut self.orgs, org),
            _ => return &mut self.everyone,
        };
        names.entry(name.clone()).or_default()
    }

    /// The allowances that may count the use of this key in this scope, each once. Their selectors are still to be
    /// asked.
    pub(super) fn candidates(
        &self,
        rotations: &Rotations,
        scope: &Scope,
        key: KeyId,
    ) -> impl Iterator<Item = u32> {
        fn named<'a>(names: &'a HashMap<Name, Vec<u32>>, name: Option<&Name>) -> &'a [u32] {
            match name {
                Some(name) if !names.is_empty() => names.get(name).map_or(&[], Vec::as_slice),
                _ => &[],
            }
        }
        let of_key = if self.keys.is_empty() { None } else { self.keys.get(&rotations.first(key)) };
        let lists = [
            self.everyone.as_slice(),
            named(&self.orgs, Some(&scope.org)),
            named(&self.teams, Some(&scope.team)),
            named(&self.projects, scope.project.as_ref()),
            named(&self.users, scope.user.as_ref()),
            of_key.map_or(&[], Vec::as_slice),
        ];
        lists.into_iter().flatten().copied()
    }
}

/// Whose counter of an allowance the use of this key in this scope goes to: the fields that are the same for all that
/// share it. Nobody's where the allowance does not count it: another part of the organisation, or one for each
/// project or user where the scope has none. Keys that replaced one another are one, by the id of the first.
pub(super) fn subject(
    allowance: &Allowance,
    rotations: &Rotations,
    scope: &Scope,
    key: KeyId,
) -> Option<Selector> {
    let key = rotations.first(key);
    let mut subject = allowance.on.clone();
    subject.key = subject.key.map(|key| rotations.first(key));
    if !subject.fits(scope, key) {
        return None;
    }
    let Some(level) = allowance.each else {
        return Some(subject);
    };
    if level != Level::Key {
        subject.org = Some(scope.org.clone());
    }
    match level {
        Level::Org => {}
        Level::Team => subject.team = Some(scope.team.clone()),
        Level::Project => {
            subject.team = Some(scope.team.clone());
            subject.project = Some(scope.project.clone()?);
        }
        Level::User => subject.user = Some(scope.user.clone()?),
        Level::Key => subject.key = Some(key),
    }
    Some(subject)
}

/// Whose that is, in words, the most specific first: `user ada of team platform of org default`.
pub(super) fn whose(subject: &Selector) -> String {
    let key = subject.key.map(|key| format!("key {key}"));
    let names = [
        ("user", &subject.user),
        ("project", &subject.project),
        ("team", &subject.team),
        ("org", &subject.org),
    ];
    let names = names.into_iter().filter_map(|(level, name)| Some(format!("{level} {}", name.as_ref()?)));
    let parts: Vec<String> = key.into_iter().chain(names).collect();
    if parts.is_empty() { "everyone".to_owned() } else { parts.join(" of ") }
}
