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
        writeln!(f, "error: {}", shown(&self.message))?;
        let file = shown(&self.file);
        if self.line == 0 {
            write!(f, "  --> {file}")?;
        } else {
            write!(f, "  --> {file}:{}:{}", self.line, self.column)?;
            if let Some(source) = &self.source {
                let number = self.line.to_string();
                let margin = " ".repeat(number.len());
                let caret = " ".repeat(self.column.saturating_sub(1));
                write!(f, "\n {margin} |\n {number} | {source}\n {margin} | {caret}^")?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n  = help: {}", shown(help))?;
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
        let source = line.checked_sub(1).and_then(|index| self.text.lines().nth(index)).map(|line| printable(&without_secrets(line)));
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

/// Keys of a target file whose value is a secret, or leads to one.
const SECRET_KEYS: &[&str] = &["password", "passwd", "pwd", "secret", "client_secret", "totp", "cookie", "key", "certificate_key", "token"];

/// A line of a file without the secrets that its author wrote into it, against advice: behind `plain:`, and where a secret belongs, under a
/// key that is misspelt as well. What is behind it stays where it is.
fn without_secrets(line: &str) -> String {
    let mut hidden = vec![false; line.len()];
    for (colon, _) in line.match_indices(':') {
        let key = line[..colon].trim_end_matches(['"', '\'']);
        let key = key.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).next().unwrap_or(key);
        let small = key.to_ascii_lowercase();
        let near = |known: &&str| strsim::damerau_levenshtein(&small, known) <= known.len() / 4;
        if small == "plain" || SECRET_KEYS.iter().any(near) {
            let from = colon + 1 + (line[colon + 1..].len() - line[colon + 1..].trim_start().len());
            // The mark of a block of lines is no value.
            let value = &line[from..];
            let reference = value.trim_start_matches(['"', '\'', ' ']);
            if ["env:", "file:", "plain:", "{", "[", "|", ">"].iter().any(|start| reference.starts_with(start)) {
                continue;
            }
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'')).or_else(|| quote_around(&line[..colon]));
            let inside = from + usize::from(value.starts_with(['"', '\'']));
            let end = match quote {
                Some(quote) => line[inside..].rfind(quote),
                // Inside of braces a bare text ends with the pair, elsewhere with the line.
                None if line[..colon].contains('{') => line[inside..].find(", ").or_else(|| line[inside..].rfind('}')),
                None => None,
            };
            hidden[inside..end.map_or(line.len(), |end| inside + end)].fill(true);
        }
    }
    // A line of a key that was written out.
    let whole = line.trim();
    if whole.len() >= 24 && whole.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_')) {
        hidden.fill(true);
    }
    let mut before = false;
    let mut shown = String::new();
    for (at, c) in line.char_indices() {
        let hide = hidden.get(at).copied().unwrap_or(false);
        shown.push(match (hide, before) {
            (true, false) => '…',
            (true, true) => ' ',
            (false, _) => c,
        });
        before = hide;
    }
    shown
}

/// The quote that a text leaves open.
fn quote_around(text: &str) -> Option<char> {
    ['"', '\''].into_iter().find(|quote| text.matches(*quote).count() % 2 == 1)
}

/// Whether a character does something to a terminal or to the lines around it: a control character, or one that changes the direction of
/// writing or ends a line.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// A text in which such characters are shown, and not sent to the terminal; lines stay lines.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && acts(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// A line of a hostile file.
fn printable(line: &str) -> String {
    shown(&line.chars().take(400).map(|c| if c == '\t' { ' ' } else { c }).collect::<String>())
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

#[cfg(test)]
mod tests {
    use super::{Diagnostic, Diagnostics, without_secrets};

    /// A name may turn the direction of writing, or move the cursor.
    #[test]
    fn nothing_of_a_file_acts_on_the_terminal() {
        let text = "\u{202e}\u{1b}[2J: 1";
        let mut found = Diagnostics::new("a\u{202e}.yaml", text);
        found.add(1, 1, format!("unknown field `{text}`"), Some(format!("not {text}\nbut this")));
        let shown = found.into_vec().iter().map(Diagnostic::to_string).collect::<String>();
        assert!(!shown.contains(['\u{202e}', '\u{1b}']) && shown.matches("\\u{202e}").count() == 4, "{shown}");
        assert!(shown.ends_with("\nbut this"), "{shown}");
    }

    #[test]
    fn no_secret_is_shown_with_a_mistake() {
        for (line, shown) in [
            ("  default: {name: alice, password: \"wonderland\"}", "  default: {name: alice, password: \"…         \"}"),
            ("  default: {name: a, pasword: won,der: x}", "  default: {name: a, pasword: …         }"),
            ("    secret: \"plain:so \\\" secret\", id: x", "    secret: \"plain:…           \", id: x"),
            ("    password: won, der}", "    password: …        "),
            ("    secret: plain:hunter2", "    secret: plain:…      "),
            ("    'totp': 'GEZDGNBV'", "    'totp': '…       '"),
            ("    secret: env:GP_SECRET, key: file:key.pem", "    secret: env:GP_SECRET, key: file:key.pem"),
            ("    key: |", "    key: |"),
            ("      MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0w", "…                                             "),
            ("clients:", "clients:"),
            ("issuer: https://login.example # password", "issuer: https://login.example # password"),
            ("  \"é😀\": {secret: hunter2}", "  \"é😀\": {secret: …      }"),
            ("  é😀: {secret: hunter2}", "  é😀: {secret: …      }"),
        ] {
            assert_eq!(without_secrets(line), shown);
        }
    }
}
