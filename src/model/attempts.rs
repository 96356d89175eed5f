//! The trials of a case, which are most of a report's bytes: in memory, or kept elsewhere and read back one case at a time.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::observation::Trial;

/// Where trials are kept that are not in memory: a place gives their JSON back.
pub trait Store: fmt::Debug + Send + Sync {
    /// The JSON of what was kept at this place.
    ///
    /// # Errors
    /// What cannot be read back.
    fn read(&self, offset: u64, length: usize) -> std::io::Result<String>;
}

/// The trials of a case. In JSON it is always a list of trials.
#[derive(Debug, Clone)]
pub enum Attempts {
    Here(Vec<Trial>),
    /// As they stand in a report that was read, not looked at yet.
    Text(Arc<RawValue>),
    Stored {
        store: Arc<dyn Store>,
        offset: u64,
        length: usize,
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
            Attempts::Stored { store, offset, length } => parsed(&store.read(*offset, *length)?).map(Cow::Owned),
        }
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        match self {
            Attempts::Here(trials) => trials.is_empty(),
            Attempts::Text(raw) => raw.get().trim_start_matches(['[', ' ', '\n', '\r', '\t']).starts_with(']'),
            // Only what there is gets stored.
            Attempts::Stored { .. } => false,
        }
    }
}

fn parsed(text: &str) -> std::io::Result<Vec<Trial>> {
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
            Attempts::Stored { store, offset, length } => {
                let text = store.read(*offset, *length).map_err(serde::ser::Error::custom)?;
                RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
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
