//! What is wrong with a file that a person wrote, where, and what to write instead.

use std::fmt;

/// One mistake in an input file: place, title and cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as the user named it, or its name inside the embedded catalogue.
    pub file: String,
    /// Line and column count from 1; line 0 means the file as a whole.
    pub line: usize,
    pub column: usize,
    /// The offending line, shown with a caret under `column`.
    pub source: Option<String>,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        if self.line == 0 {
            write!(f, "  --> {}", self.file)?;
        } else {
            write!(f, "  --> {}:{}:{}", self.file, self.line, self.column)?;
            if let Some(source) = &self.source {
                let number = self.line.to_string();
                let margin = " ".repeat(number.len());
                let caret = " ".repeat(self.column.saturating_sub(1));
                write!(f, "\n {margin} |\n {number} | {source}\n {margin} | {caret}^")?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n  = help: {help}")?;
        }
        Ok(())
    }
}

/// Collects the mistakes of one file, so that its author sees all of them at once.
#[derive(Debug)]
pub struct Diagnostics<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Diagnostics<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Diagnostics { file, text, found: Vec::new() }
    }

    /// Adds a mistake at a place of the file (line 0: the whole file).
    pub fn add(&mut self, line: usize, column: usize, message: impl Into<String>, help: Option<String>) {
        let source = line.checked_sub(1).and_then(|index| self.text.lines().nth(index)).map(printable);
        self.found.push(Diagnostic { file: self.file.to_owned(), line, column, source, message: message.into(), help });
    }

    /// Adds a mistake at the place of a value.
    pub fn at<T>(&mut self, place: &crate::place::At<T>, message: impl Into<String>, help: Option<String>) {
        self.add(place.line, place.column, message, help);
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.found
    }
}

/// Control characters of a hostile file are shown, never sent to the terminal.
fn printable(line: &str) -> String {
    line.chars()
        .take(400)
        .map(|c| if c == '\t' { ' ' } else { c })
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

/// "did you mean" for a name out of a closed vocabulary; lists the vocabulary when nothing is near.
pub fn suggestion<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), *name))
        .filter(|(distance, name)| *distance <= 1 + name.len().max(wrong.len()) / 4)
        .min();
    // A name that was begun or cut short is near as well, however long the rest of it.
    let begun =
        || known.iter().filter(|name| wrong.len() >= 3 && name.contains(wrong)).min_by_key(|name| name.len()).map(|name| (0, *name));
    match near.or_else(begun) {
        Some((_, name)) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known are: {}", known.join(", "))),
    }
}
