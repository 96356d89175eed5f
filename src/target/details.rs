//! The authorization details of a target file (RFC 9396): what its clients ask for, and something larger.

use serde_json::Value;

use crate::diagnostic::Diagnostics;
use crate::place::At;

use super::file::AuthorizationDetailsFile;

/// Two texts of `authorization_details`, each the JSON of an array of objects with a type (§2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// What the users of the test may approve.
    pub example: String,
    /// What attacks try to get in its place.
    pub other: Option<String>,
}

impl Details {
    /// The details, of JSON texts.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn of(example: &str, other: Option<&str>) -> Result<Details, String> {
        let known = list(example)?;
        if let Some(other) = other {
            let other = list(other)?;
            if covers(&known, &other) || covers(&other, &known) {
                return Err("`other` says nothing that `example` does not say, or all of it: one could not be told from the other".into());
            }
        }
        Ok(Details { example: example.trim().to_owned(), other: other.map(|other| other.trim().to_owned()) })
    }

    /// Which of the two are among what was granted: `example`, `other`, both, or `neither`. A server may add members of its own (§7.1).
    pub fn among(&self, granted: &Value) -> String {
        let has = |text: &str| granted.as_array().zip(list(text).ok()).is_some_and(|(granted, asked)| covers(granted, &asked));
        let words = [("example", Some(&self.example)), ("other", self.other.as_ref())];
        let found: Vec<&str> = words.into_iter().filter(|(_, text)| text.is_some_and(|text| has(text))).map(|(word, _)| word).collect();
        if found.is_empty() { "neither".to_owned() } else { found.join(" ") }
    }
}

/// Reads the details of a target file; what is wrong with them is told.
pub(super) fn details(file: &AuthorizationDetailsFile, found: &mut Diagnostics) -> Option<Details> {
    let text = |at: &At<String>| at.value.clone();
    match Details::of(&file.example.value, file.other.as_ref().map(text).as_deref()) {
        Ok(details) => Some(details),
        Err(why) => {
            let help = "write a JSON array of objects in single quotes: '[{\"type\":\"payment\",\"amount\":\"1.00\"}]'";
            let wrong = file.other.as_ref().filter(|_| list(&file.example.value).is_ok()).unwrap_or(&file.example);
            found.at(wrong, why, Some(help.into()));
            None
        }
    }
}

fn list(text: &str) -> Result<Vec<Value>, String> {
    let all: Vec<Value> = serde_json::from_str(text).map_err(|error| format!("`{text}` is no JSON array: {error}"))?;
    if all.is_empty() || !all.iter().all(|detail| detail.get("type").is_some_and(Value::is_string)) {
        return Err(format!("`{text}` is not a list of objects with a `type`"));
    }
    Ok(all)
}

/// Whether each of the details is among what was granted, with all its members.
fn covers(granted: &[Value], asked: &[Value]) -> bool {
    let is_in = |asked: &Value, granted: &Value| match (asked, granted) {
        (Value::Object(asked), Value::Object(granted)) => asked.iter().all(|(name, value)| granted.get(name) == Some(value)),
        _ => false,
    };
    asked.iter().all(|asked| granted.iter().any(|granted| is_in(asked, granted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"[{"type":"payment","amount":"1.00"}]"#;
    const LARGE: &str = r#"[{"type":"payment","amount":"900.00"}]"#;

    #[test]
    fn what_was_granted_is_told_by_its_members() {
        let details = Details::of(SMALL, Some(LARGE)).expect("right ones");
        let among = |json: &str| details.among(&serde_json::from_str(json).expect("JSON"));
        assert_eq!(among(SMALL), "example");
        assert_eq!(among(r#"[{"amount":"900.00","type":"payment","id":"x"}]"#), "other");
        assert_eq!(among(r#"[{"type":"payment","amount":"900.00"},{"type":"payment","amount":"1.00"}]"#), "example other");
        assert_eq!(among(r#"[{"type":"payment"}]"#), "neither");
        assert_eq!(among(r#""payment""#), "neither");
    }

    #[test]
    fn details_that_say_nothing_are_refused() {
        for (example, other) in [("{}", None), ("[]", None), (r#"[{"amount":"1"}]"#, None), (SMALL, Some(SMALL)), (SMALL, Some("["))] {
            assert!(Details::of(example, other).is_err(), "{example} {other:?}");
        }
        let more = r#"[{"type":"payment","amount":"1.00","currency":"EUR"}]"#;
        assert!(Details::of(SMALL, Some(more)).is_err(), "one covers the other");
    }
}
