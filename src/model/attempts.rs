//! The trials of a case, which are most of a report's bytes: in memory, or kept elsewhere and read back one case at a time.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::observation::Trial;

/// Where trials are kept that are not in memory.
pub trait Store: fmt::Debug + Send + Sync {
    /// The trial that was kept at this place.
    ///
    /// # Errors
    /// What cannot be read back.
    fn trial(&self, place: Place) -> std::io::Result<Trial>;

    /// The same as JSON.
    ///
    /// # Errors
    /// As [`Store::trial`].
    fn text(&self, place: Place) -> std::io::Result<String>;
}

/// Where one trial is in a store: bytes from its beginning, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub offset: u64,
    pub length: usize,
}

/// The trials of a case. In JSON it is always a list of trials.
#[derive(Debug, Clone)]
pub enum Attempts {
    Here(Vec<Trial>),
    /// As they stand in a report that was read, not looked at yet.
    Text(Arc<RawValue>),
    Stored {
        store: Arc<dyn Store>,
        /// One for each trial, in their order.
        places: Vec<Place>,
    },
}

impl Attempts {
    /// The trials.
    ///
    /// # Errors
    /// Evidence that cannot be read back, or is not as the schema has it.
    pub fn load(&self) -> std::io::Result<Cow<'_, [Trial]>> {
        match self {
            Attempts::Here(trials) => Ok(Cow::Borrowed(trials)),
            Attempts::Text(raw) => parsed(raw.get()).map(Cow::Owned),
            Attempts::Stored { store, places } => places.iter().map(|place| store.trial(*place)).collect(),
        }
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        match self {
            Attempts::Here(trials) => trials.is_empty(),
            Attempts::Text(raw) => raw.get().trim_start_matches(['[', ' ', '\n', '\r', '\t']).starts_with(']'),
            Attempts::Stored { places, .. } => places.is_empty(),
        }
    }
}

/// Evidence out of its JSON: a trial, or a list of them.
///
/// # Errors
/// It is not as the schema has it.
pub fn parsed<T: DeserializeOwned>(text: &str) -> std::io::Result<T> {
    serde_json::from_str(text).map_err(|e| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, format!("the evidence of a case is not as the schema has it: {e}"))
    })
}

impl Default for Attempts {
    fn default() -> Self {
        Attempts::Here(Vec::new())
    }
}

impl From<Vec<Trial>> for Attempts {
    fn from(trials: Vec<Trial>) -> Self {
        Attempts::Here(trials)
    }
}

impl PartialEq for Attempts {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.load(), other.load()), (Ok(a), Ok(b)) if a == b)
    }
}

impl Serialize for Attempts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Evidence is for programs: one line for each case, also where the rest is set out for readers.
            Attempts::Here(trials) => serde_json::value::to_raw_value(trials).map_err(serde::ser::Error::custom)?.serialize(serializer),
            Attempts::Text(raw) => raw.serialize(serializer),
            Attempts::Stored { store, places } => {
                let trials: std::io::Result<Vec<String>> = places.iter().map(|place| store.text(*place)).collect();
                let text = trials.map_err(serde::ser::Error::custom)?.join(",");
                RawValue::from_string(format!("[{text}]")).map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Attempts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Attempts::Text(Box::<RawValue>::deserialize(deserializer)?.into()))
    }
}

impl JsonSchema for Attempts {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Attempts".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Vec<Trial>>()
    }
}
