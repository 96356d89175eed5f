//! Questions on a terminal, each with its default. Nobody there: every answer is the default.

use std::io::{BufRead, IsTerminal as _, Write};

/// Asks, or does not.
pub struct Questions {
    ends: Option<(Box<dyn BufRead>, Box<dyn Write>)>,
}

impl Questions {
    /// Asks on the terminal where there is one and nobody forbids it.
    pub fn on_terminal(allowed: bool) -> Questions {
        let there = allowed && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Questions {
            ends: there.then(|| (Box::new(std::io::stdin().lock()) as Box<dyn BufRead>, Box::new(std::io::stderr()) as Box<dyn Write>)),
        }
    }

    #[cfg(test)]
    fn between(answers: &'static str, out: impl Write + 'static) -> Questions {
        Questions { ends: Some((Box::new(std::io::Cursor::new(answers)), Box::new(out))) }
    }

    /// Whether somebody is there to answer.
    pub fn answered(&self) -> bool {
        self.ends.is_some()
    }

    /// A line of text; an empty one is the default.
    pub fn text(&mut self, question: &str, default: &str) -> String {
        let Some((answers, out)) = &mut self.ends else { return default.to_owned() };
        let shown = if default.is_empty() { "empty: fill it in later" } else { default };
        // A terminal that is gone answers with the defaults.
        if write!(out, "{question} [{shown}] ").and_then(|()| out.flush()).is_err() {
            return default.to_owned();
        }
        let mut line = String::new();
        match answers.read_line(&mut line) {
            Ok(_) if !line.trim().is_empty() => line.trim().to_owned(),
            _ => default.to_owned(),
        }
    }

    /// Yes or no. What is neither is asked again, a few times.
    pub fn yes(&mut self, question: &str, default: bool) -> bool {
        for _ in 0..3 {
            let answer = self.text(&format!("{question} (yes or no)"), if default { "yes" } else { "no" }).to_ascii_lowercase();
            match answer.as_str() {
                "y" | "yes" => return true,
                "n" | "no" => return false,
                _ => {}
            }
        }
        default
    }

    /// A line that must satisfy a test; the default where three lines did not.
    pub fn checked(&mut self, question: &str, default: &str, check: impl Fn(&str) -> Result<(), String>) -> String {
        for _ in 0..3 {
            let answer = self.text(question, default);
            match check(&answer) {
                _ if answer == default => return answer,
                Ok(()) => return answer,
                Err(why) => {
                    if let Some((_, out)) = &mut self.ends {
                        // As above.
                        let _ = writeln!(out, "  {why}");
                    }
                }
            }
        }
        default.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_and_the_end_are_the_default() {
        let mut questions = Questions::between("\nbob\nperhaps\nno\n", std::io::sink());
        assert_eq!(questions.text("first user", "alice"), "alice");
        assert_eq!(questions.text("first user", "alice"), "bob");
        assert!(!questions.yes("register", true), "asked again after `perhaps`");
        assert!(questions.yes("register", true), "the end of the input");
        assert_eq!(questions.text("by", ""), "");
    }

    #[test]
    fn wrong_lines_are_asked_again() {
        let mut questions = Questions::between("tomorrow\n2027-03-01\n", std::io::sink());
        let date = |text: &str| text.parse::<jiff::civil::Date>().map(|_| ()).map_err(|_| "write 2027-03-01".to_owned());
        assert_eq!(questions.checked("until", "", date), "2027-03-01");
    }
}
