//! Reports: one value, one JSON form; every other format is rendered from it.

pub mod build;
pub mod curl;
pub mod gate;
pub mod json;
pub mod terminal;
pub mod timings;

use crate::model::report::Report;

/// A format and how it is written. A new one is a file and a line here.
pub struct Format {
    pub name: &'static str,
    pub extension: &'static str,
    pub about: &'static str,
    pub write: fn(&Report) -> String,
}

pub const FORMATS: &[Format] = &[
    Format { name: "terminal", extension: "txt", about: "for a reader, without colour in files", write: terminal::plain },
    Format { name: "json", extension: "json", about: "everything, by a published schema", write: json::write },
];

impl Format {
    pub fn by_name(name: &str) -> Option<&'static Format> {
        FORMATS.iter().find(|f| f.name == name)
    }
}
