//! The shapes of the data beside scenarios: requirements of standards, what of the known attacks is not tested,
//! who else tests it, and which settings of products help.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::place::At;

/// Attacks that are known and are no scenario (`scenarios/NOT-TESTED.yaml`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotTestedFile {
    pub not_tested: Vec<NotTestedEntry>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotTestedEntry {
    /// `token/entropy`
    pub id: At<String>,
    /// What it would need, or why it cannot be judged from outside.
    pub why: At<String>,
}

/// Which other tools try a known attack as well (`scenarios/PEERS.yaml`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeersFile {
    /// The tools, by a short name.
    pub tools: BTreeMap<String, Tool>,
    /// `pkce/wrong-verifier` → the short names of the tools that try it. What is not here is tried by none of them.
    pub attacks: BTreeMap<String, Vec<String>>,
}

/// Another tool.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    pub title: String,
    pub link: String,
}

/// Settings of products that close a finding (`scenarios/SETTINGS.yaml`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsFile {
    pub products: Vec<Product>,
}

impl SettingsFile {
    /// The settings that close a scenario, each with its product.
    pub fn of<'s>(&'s self, scenario: &'s str) -> impl Iterator<Item = (&'s Product, &'s Setting)> {
        let all = self.products.iter().flat_map(|product| product.settings.iter().map(move |setting| (product, setting)));
        all.filter(move |(_, setting)| setting.scenarios.iter().any(|id| id == scenario))
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// `Keycloak`
    pub product: String,
    /// The folder of its test under `tests/interop`.
    pub server: String,
    pub settings: Vec<Setting>,
}

/// A setting, and the two modes of the test that show what it does.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What to set, by the names that the product has for it.
    pub set: String,
    /// The mode without it.
    pub broken_in: String,
    /// The mode with it.
    pub holds_in: String,
    pub scenarios: Vec<String>,
}

/// The requirements of one document, as scenarios cite them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StandardFile {
    pub document: At<String>,
    pub title: At<String>,
    pub link: At<String>,
    pub requirements: Vec<RequirementFile>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequirementFile {
    /// `RFC7636#4.4.1`
    pub id: At<String>,
    pub keyword: Keyword,
    pub binds: Binds,
    /// What is asked, in our own words.
    pub asks: At<String>,
    pub link: At<String>,
    /// Whether it can be seen from outside.
    pub testable: bool,
    /// Why not.
    pub why_not: Option<At<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Keyword {
    Must,
    Should,
    May,
    Info,
}

impl Keyword {
    /// As RFC 2119 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Keyword::Must => "MUST",
            Keyword::Should => "SHOULD",
            Keyword::May => "MAY",
            Keyword::Info => "INFO",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Binds {
    #[serde(rename = "authorization server")]
    AuthorizationServer,
    Client,
    #[serde(rename = "resource server")]
    ResourceServer,
}
