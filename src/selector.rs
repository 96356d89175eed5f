//! A CSS selector of a target file: checked when the file is read, matched when a page is.

/// A selector that the page reader can match. It has types, ids, classes, attributes, descendants and children, `:not()`,
/// and `:nth-child()` and its kin; nothing that depends on the state of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(String);

impl Selector {
    /// # Errors
    /// What is wrong with the text as a selector, in lower case and without a full stop.
    pub fn parse(text: &str) -> Result<Selector, String> {
        match text.parse::<lol_html::Selector>() {
            Ok(_) => Ok(Selector(text.to_owned())),
            Err(error) => Err(error.to_string().trim_end_matches('.').to_lowercase()),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
