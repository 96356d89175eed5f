//! Severity, strength of a requirement, and the profiles that decide what counts.

use serde::{Deserialize, Serialize};

/// How bad the harm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub const ALL: &'static [Severity] = &[Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// The strength of a requirement in a profile: a broken MUST fails the gate, a broken SHOULD is a warning, a broken MAY
/// an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    May,
    Should,
    Must,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Level::May => "may",
            Level::Should => "should",
            Level::Must => "must",
        }
    }
}

/// A named set of requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Profile {
    /// The RFC 6749 family as updated by RFC 9700.
    #[default]
    #[serde(rename = "baseline")]
    Baseline,
    /// The OAuth 2.1 draft.
    #[serde(rename = "oauth2.1")]
    OAuth21,
    /// The FAPI 2.0 Security Profile.
    #[serde(rename = "fapi2")]
    Fapi2,
    /// OpenID Connect Core 1.0.
    #[serde(rename = "oidc")]
    Oidc,
    /// The authorization part of the Model Context Protocol.
    #[serde(rename = "mcp")]
    Mcp,
}

impl Profile {
    pub const ALL: &'static [Profile] = &[Profile::Baseline, Profile::OAuth21, Profile::Fapi2, Profile::Oidc, Profile::Mcp];

    pub fn name(self) -> &'static str {
        match self {
            Profile::Baseline => "baseline",
            Profile::OAuth21 => "oauth2.1",
            Profile::Fapi2 => "fapi2",
            Profile::Oidc => "oidc",
            Profile::Mcp => "mcp",
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|p| p.name() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|p| p.name()).collect();
            format!("no profile `{text}`; known are {}", known.join(", "))
        })
    }
}
