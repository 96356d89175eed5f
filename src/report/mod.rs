//! Reports: one value, one JSON form; every other format is rendered from it.

pub mod baseline;
pub mod beside;
pub mod build;
pub mod coverage;
pub mod diff;
pub mod gate;
pub mod github;
pub mod har;
pub mod html;
pub mod integrity;
pub mod json;
pub mod jsonl;
pub mod junit;
pub mod markdown;
pub mod merge;
pub mod read;
pub mod requests;
pub mod safe;
pub mod sarif;
pub mod signing;
pub mod terminal;
pub mod timings;
pub mod view;
pub mod waive;

use std::io::{self, Write};

use crate::model::report::Report;

/// A format and how it is written. A new one is a file and a line here.
pub struct Format {
    pub name: &'static str,
    pub extension: &'static str,
    pub about: &'static str,
    /// One report of a run, or several: shards of a fleet, joined by `merge`. Writes as it goes, so that evidence is in
    /// memory one case at a time.
    ///
    /// # Errors
    /// What the writer says, or evidence that cannot be read back.
    pub write: fn(&[Report], &mut dyn Write) -> io::Result<()>,
}

pub const FORMATS: &[Format] = &[
    Format { name: "terminal", extension: "txt", about: "for a reader, without colour in files", write: terminal::plain },
    Format { name: "json", extension: "json", about: "everything, by a published schema", write: json::write },
    Format { name: "junit", extension: "xml", about: "for the test pages of Jenkins, GitLab and others", write: junit::write },
    Format { name: "sarif", extension: "sarif", about: "for GitHub code scanning and other viewers of findings", write: sarif::write },
    Format { name: "markdown", extension: "md", about: "for the summary of a GitHub job, or a comment", write: markdown::write },
    Format { name: "github", extension: "github.txt", about: "annotations of GitHub Actions", write: github::write },
    Format { name: "jsonl", extension: "jsonl", about: "one event in a line, for log pipelines", write: jsonl::write },
    Format { name: "har", extension: "har", about: "every exchange, for the developer tools of a browser", write: har::write },
    Format {
        name: "html",
        extension: "html",
        about: "one page for people: answer, findings with evidence, coverage by standard",
        write: html::write,
    },
];

impl Format {
    pub fn by_name(name: &str) -> Option<&'static Format> {
        FORMATS.iter().find(|f| f.name == name)
    }

    /// The whole text at once.
    ///
    /// # Errors
    /// Evidence that cannot be read back.
    pub fn text(&self, reports: &[Report]) -> io::Result<String> {
        let mut bytes = Vec::new();
        (self.write)(reports, &mut bytes)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}
