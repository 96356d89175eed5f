//! What it takes to choose a scenario and to list it: of the embedded ones it can be had without resolving what they do.

use serde::Deserialize;

use crate::model::profile::{Level, Profile, Severity};
use crate::model::scenario::{Risk, Scenario};

use super::file::LevelFile;
use super::resolve::levels;

/// What a scenario can be chosen by.
#[derive(Debug, Clone, Copy)]
pub struct Head<'s> {
    /// `group/name`.
    pub id: &'s str,
    pub severity: Severity,
    /// Ids of requirements.
    pub basis: &'s [String],
    /// How strongly it counts in each profile that asks for it.
    pub level: &'s [(Profile, Level)],
    /// One of the six attacks that the project began with.
    pub card: bool,
}

impl<'s> Head<'s> {
    /// `pkce` of `pkce/plain-method`.
    pub fn group(&self) -> &'s str {
        self.id.split('/').next().unwrap_or("")
    }

    /// How strongly it counts in a profile; None: not at all.
    pub fn level_in(&self, profile: Profile) -> Option<Level> {
        self.level.iter().find(|(p, _)| *p == profile).map(|(_, level)| *level)
    }
}

/// What can be chosen.
pub trait Choosable {
    fn head(&self) -> Head<'_>;
}

impl Choosable for Scenario {
    fn head(&self) -> Head<'_> {
        Head { id: &self.id, severity: self.severity, basis: &self.basis, level: &self.level, card: self.card }
    }
}

/// A scenario without what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    pub id: String,
    pub title: String,
    pub severity: Severity,
    pub basis: Vec<String>,
    pub level: Vec<(Profile, Level)>,
    pub risk: Risk,
    pub card: bool,
    /// The ids of its attacks.
    pub attacks: Vec<String>,
}

impl From<&Scenario> for Outline {
    fn from(scenario: &Scenario) -> Outline {
        Outline {
            id: scenario.id.clone(),
            title: scenario.title.clone(),
            severity: scenario.severity,
            basis: scenario.basis.clone(),
            level: scenario.level.clone(),
            risk: scenario.risk,
            card: scenario.card,
            attacks: scenario.attacks.iter().map(|attack| attack.id.clone()).collect(),
        }
    }
}

impl Choosable for Outline {
    fn head(&self) -> Head<'_> {
        Head { id: &self.id, severity: self.severity, basis: &self.basis, level: &self.level, card: self.card }
    }
}

/// The same in a scenario file.
#[derive(Deserialize)]
struct OutlineFile {
    id: String,
    title: String,
    severity: Severity,
    #[serde(default)]
    basis: Vec<String>,
    level: LevelFile,
    #[serde(default)]
    risk: Risk,
    #[serde(default)]
    card: bool,
    attacks: Vec<AttackOutline>,
}

#[derive(Deserialize)]
struct AttackOutline {
    id: String,
}

/// The outline of a file that stands as JSON; None: it is no scenario.
pub fn read(json: &str) -> Option<Outline> {
    let file: OutlineFile = serde_json::from_str(json).ok()?;
    Some(Outline {
        id: file.id,
        title: file.title,
        severity: file.severity,
        basis: file.basis,
        level: levels(&file.level),
        risk: file.risk,
        card: file.card,
        attacks: file.attacks.into_iter().map(|attack| attack.id).collect(),
    })
}
