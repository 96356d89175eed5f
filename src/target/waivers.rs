//! Waivers: known risks that somebody accepted for a while, in the target file or in a file of their own.

use std::collections::BTreeSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{Diagnostic, Diagnostics, suggestion};
use crate::model::report::Waived;
use crate::place::At;

/// Days that a waiver may be written ahead: what is accepted for longer is not looked at any more.
pub const MOST_DAYS: i64 = 366;

/// Digits of a digest that a waiver has to give.
const LEAST_DIGITS: usize = 12;

/// A file of waivers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiversFile {
    pub waivers: Vec<WaiverFile>,
}

/// One known risk, accepted for a while.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverFile {
    /// What is accepted: a scenario (`refresh/family-revoked`), or one of its variants as the report names it.
    pub id: At<String>,
    /// Why it is accepted, and what is done about it; printed in every report.
    pub reason: At<String>,
    /// The person or team that answers for it.
    pub owner: At<String>,
    /// The last day, `2027-03-01`; at most a year ahead.
    pub expires: At<String>,
    /// The digest of the case, as `grantproof explain ID` prints it: when the attack changes, it has to be looked at again.
    pub case: Option<At<String>>,
    /// The name of the only target that it is for.
    pub target: Option<At<String>>,
}

/// Waivers as they were read, with the text for messages.
#[derive(Debug, Clone, Default)]
pub struct Waivers {
    pub file: String,
    pub text: String,
    pub list: Vec<WaiverFile>,
}

impl Waivers {
    /// Reads a file of waivers.
    ///
    /// # Errors
    /// A file that cannot be read, or is not as its schema has it, with the place.
    pub fn from_file(path: &Path) -> Result<Waivers, Vec<Diagnostic>> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let help = "give a file with `waivers:`; see `grantproof schema waivers`";
            let mut found = Diagnostics::new(&file, "");
            found.add(0, 0, format!("the waivers cannot be read: {error}"), Some(help.into()));
            found.into_vec()
        })?;
        let list = crate::yaml::read::<WaiversFile>(&file, &text)?.waivers;
        Ok(Waivers { file, text, list })
    }

    /// The waivers that are for this target, each with its place, once all of them are in order. `known` gives the digest
    /// of a scenario and the ids of its attacks (`scenario/attack`).
    ///
    /// # Errors
    /// Every waiver that names what there is not, is not for this version of the attack, or has expired.
    pub fn checked<'k>(&self, target: &str, today: jiff::civil::Date, known: &Known<'k>) -> Result<Vec<Waiver>, Vec<Diagnostic>> {
        let mut found = Diagnostics::new(&self.file, &self.text);
        let mut seen = BTreeSet::new();
        let mut waivers = Vec::new();
        for waiver in &self.list {
            let scope = waiver.target.as_ref().map(|t| t.value.as_str());
            if !seen.insert((waiver.id.value.as_str(), scope)) {
                found.at(&waiver.id, format!("`{}` is waived twice", waiver.id.value), Some("keep one of them".into()));
            }
            case(waiver, known, &mut found);
            expiry(waiver, today, &mut found);
            for (text, name) in [(&waiver.reason, "reason"), (&waiver.owner, "owner")] {
                if text.value.trim().is_empty() {
                    found.at(text, format!("the {name} is empty"), Some("an auditor has to find out why, and whom to ask".into()));
                }
            }
            if scope.is_none_or(|scope| scope == target) {
                waivers.push(Waiver {
                    waived: Waived {
                        id: waiver.id.value.clone(),
                        reason: waiver.reason.value.clone(),
                        owner: waiver.owner.value.clone(),
                        expires: waiver.expires.value.clone(),
                    },
                    place: format!("{}:{}:{}", self.file, waiver.id.line, waiver.id.column),
                });
            }
        }
        if found.is_empty() { Ok(waivers) } else { Err(found.into_vec()) }
    }
}

/// A waiver that is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    pub waived: Waived,
    /// `file:line:column`.
    pub place: String,
}

/// What waivers may name.
pub struct Known<'k> {
    /// Id of a scenario → its digest.
    pub digest: &'k dyn Fn(&str) -> Option<String>,
    /// Ids of all scenarios, and of their attacks (`scenario/attack`).
    pub ids: &'k [String],
}

/// The scenario of an id: of `pkce/plain-method/x[word]` it is `pkce/plain-method`.
pub fn scenario_of(id: &str) -> &str {
    let end = id.match_indices('/').nth(1).map_or(id.len(), |(at, _)| at);
    &id[..end]
}

fn case(waiver: &WaiverFile, known: &Known<'_>, found: &mut Diagnostics<'_>) {
    let id = waiver.id.value.as_str();
    let attack = &id[..id.find('[').unwrap_or(id.len())];
    let Some(digest) = (known.digest)(scenario_of(id)).filter(|_| known.ids.iter().any(|k| k == attack)) else {
        let help = suggestion(attack, known.ids.iter().map(String::as_str)).filter(|s| s.starts_with("did you"));
        found.at(
            &waiver.id,
            format!("there is no scenario or variant `{id}`"),
            Some(help.unwrap_or_else(|| "see `grantproof list`".into())),
        );
        return;
    };
    let now = &digest[..digest.len().min(LEAST_DIGITS)];
    match &waiver.case {
        None => found.at(
            &waiver.id,
            "the waiver does not say which case it is for",
            Some(format!("look at `grantproof explain {}`, and if it is accepted as it is: `case: {now}`", scenario_of(id))),
        ),
        Some(case) if case.value.len() < LEAST_DIGITS => {
            found.at(case, format!("`{}` has fewer than {LEAST_DIGITS} digits", case.value), Some(format!("write `case: {now}`")));
        }
        Some(case) if !digest.starts_with(&case.value) => found.at(
            case,
            "the case has changed since the waiver was written",
            Some(format!("look at `grantproof explain {}` again, and if it is still accepted: `case: {now}`", scenario_of(id))),
        ),
        Some(_) => {}
    }
}

fn expiry(waiver: &WaiverFile, today: jiff::civil::Date, found: &mut Diagnostics<'_>) {
    let expires = &waiver.expires;
    let Ok(date) = expires.value.parse::<jiff::civil::Date>() else {
        return found.at(expires, format!("`{}` is no date", expires.value), Some("write the last day as 2027-03-01".into()));
    };
    if date < today {
        found.at(
            expires,
            format!("the waiver of `{}` expired on {date}", waiver.id.value),
            Some(format!("fix it and remove the waiver, or let {} accept it again and write a new date", waiver.owner.value)),
        );
    } else if (date - today).get_days().unsigned_abs() > MOST_DAYS.unsigned_abs() as u32 {
        found.at(
            expires,
            format!("{date} is more than a year ahead"),
            Some("a waiver is for a while: accept it for a year at most, and look at it again".into()),
        );
    }
}
