//! What the trials of a case come to: all that its verdict and its line in a report need of them, so that the evidence itself can
//! wait elsewhere and is read back only by who shows it.

use super::observation::Trial;
use super::verdict::Party;

/// A predicate that is true, and what is off about the way in which it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Truth {
    pub seen: String,
    pub deviations: Vec<String>,
}

/// What one trial of an attack shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Sight {
    Harm(String),
    Refusal(Truth),
    /// There was nothing to attack after all.
    Moot(String),
    /// Neither, and the step that came to something else.
    Neither {
        what: String,
        fault: Party,
        filed_under: Option<&'static str>,
    },
}

/// What of one trial bears on the verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub sight: Sight,
    /// It says nothing of the attack, so that another one stands for it: it was throttled, or cut before anything was decided.
    pub lost: bool,
    /// Why a step cannot be made at this target at all.
    pub impossible: Option<String>,
    /// A pause was made before one of its steps.
    pub paused: bool,
    /// The token that the attacker walked away with was taken at the proof endpoint.
    pub proved: bool,
    /// What the attack asks about was shown at the resource itself.
    pub at_the_resource: bool,
}

/// The trials of a case.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Account {
    /// In their order.
    pub shown: Vec<Shown>,
    /// The request that made the difference in the last one, as a line for a shell.
    pub curl: Option<String>,
    /// How many requests they took.
    pub requests: u64,
    /// Time in which the target had the word, in microseconds.
    pub server_micros: u64,
}

impl Account {
    /// Adds a trial, with what it shows and its line.
    pub fn add(&mut self, trial: &Trial, shown: Shown, curl: Option<String>) {
        self.requests += trial.requests() as u64;
        self.server_micros = self.server_micros.saturating_add(trial.server_micros());
        self.curl = curl;
        self.shown.push(shown);
    }

    /// Every text in it that a server may have had a say in.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let shown = self.shown.iter_mut().flat_map(|shown| {
            let (first, others): (&mut String, &mut [String]) = match &mut shown.sight {
                Sight::Harm(seen) | Sight::Moot(seen) | Sight::Neither { what: seen, .. } => (seen, &mut []),
                Sight::Refusal(truth) => (&mut truth.seen, &mut truth.deviations),
            };
            std::iter::once(first).chain(others).chain(&mut shown.impossible)
        });
        shown.chain(&mut self.curl)
    }
}
