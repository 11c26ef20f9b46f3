//! Who takes part in the demo.

use crate::{
    admin::Admin,
    command::key::{Created, NewKey},
    fault::Fault,
};

/// A part in the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// May ask any model.
    Research,
    /// May ask any model.
    Platform,
    /// May ask the small models only.
    Support,
    /// May spend one cent a day.
    Intern,
    /// Has no key of this gateway.
    Stranger,
}

/// The keys of those who take part.
#[derive(Debug)]
pub(super) struct Cast {
    research: Created,
    platform: Created,
    support: Created,
    intern: Created,
    /// For the reader's own client.
    pub(super) guest: Created,
}

impl Part {
    /// The team, as it is called in the books.
    pub(super) fn team(self) -> &'static str {
        match self {
            Self::Research => "research",
            Self::Platform => "platform",
            Self::Support => "support",
            Self::Intern => "intern",
            Self::Stranger => "stranger",
        }
    }
}

impl Cast {
    /// Makes a key for each, through the admin API as `tollgate key create` does.
    ///
    /// # Errors
    ///
    /// As [`Admin::change`].
    pub(super) async fn mint(admin: &Admin) -> Result<Self, Fault> {
        let key = |team: &str, user: &str, models: &[&str]| NewKey {
            team: team.to_owned(),
            user: Some(user.to_owned()),
            models: models.iter().map(ToString::to_string).collect(),
            note: Some("made by tollgate demo".to_owned()),
            ..NewKey::default()
        };
        Ok(Self {
            research: key(Part::Research.team(), "notebook", &[]).create(admin).await?,
            platform: key(Part::Platform.team(), "ci", &[]).create(admin).await?,
            support: key(Part::Support.team(), "helpdesk", &["claude-haiku-*"]).create(admin).await?,
            intern: key(Part::Intern.team(), "laptop", &[]).create(admin).await?,
            guest: key("guest", "you", &[]).create(admin).await?,
        })
    }

    /// What a part presents to the gateway.
    pub(super) fn credential(&self, part: Part) -> &str {
        match part {
            Part::Research => &self.research.secret,
            Part::Platform => &self.platform.secret,
            Part::Support => &self.support.secret,
            Part::Intern => &self.intern.secret,
            Part::Stranger => "tg_this-is-no-key-of-this-gateway",
        }
    }
}
