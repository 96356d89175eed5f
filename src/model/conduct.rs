//! How the browser of a front-channel step is led, where that is not what a person does who logs in and agrees.

use serde::{Deserialize, Serialize};

use super::value::{Reference, Template};

/// A page at which the browser stops, with its form filled in and not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It asks for a user name or a password.
    Login,
    /// It asks for a one-time code.
    Code,
    /// It asks for any of these: who does not say more than he has said is asked, and consent is given all the same.
    Credentials,
    /// It asks for consent, or merely to go on.
    Consent,
    /// Any page with something to fill in or to press.
    Page,
}

impl Stop {
    pub fn name(self) -> &'static str {
        match self {
            Stop::Login => "login",
            Stop::Code => "code",
            Stop::Credentials => "credentials",
            Stop::Consent => "consent",
            Stop::Page => "page",
        }
    }
}

/// What is taken over from the page at which another step stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// The page is opened by its address.
    Page,
    /// Its form is sent as it was filled in.
    Form,
    /// Its form is sent without the hidden fields that no request brought: what a page of another site can know of it.
    BareForm,
    /// What the form would send is followed as a link: cookies that say `SameSite=Lax` go along.
    Link,
}

impl Taken {
    pub fn name(self) -> &'static str {
        match self {
            Taken::Page => "page",
            Taken::Form => "form",
            Taken::BareForm => "form without its hidden values",
            Taken::Link => "form as a link",
        }
    }
}

/// The cookies with which a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those that a script can read: without HttpOnly.
    Readable,
    /// Those that go out over plain http too: without Secure.
    Insecure,
    /// Those that other hosts of the domain are given: with a Domain.
    Shared,
}

impl Keep {
    pub fn name(self) -> &'static str {
        match self {
            Keep::Readable => "readable by a script",
            Keep::Insecure => "sent without TLS as well",
            Keep::Shared => "shared with other hosts",
        }
    }
}

/// How the browser is led.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conduct {
    pub stops_at: Option<Stop>,
    /// Begins with the page at which this step stopped, in place of a request.
    pub goes_on: Option<(String, Taken)>,
    /// In place of that page, the one at which this step stopped is opened as the page of the other: by its path, with the
    /// values of the other.
    pub path_of: Option<String>,
    /// Presses the button that refuses consent.
    pub denies: bool,
    /// Values of the request that a form carries, and what is put in their place.
    pub tampers: Vec<(String, Template)>,
    pub keeps: Option<Keep>,
    /// Has the cookies that the browser of this step had when it began.
    pub as_before: Option<String>,
    /// Loads the images of the pages that it passes, as far as they are the server's own.
    pub loads_images: bool,
}

impl Conduct {
    /// Its browser is not the one that the user of the session has, or stops before his login or in the middle of it: it is no place to
    /// be logged in from then on. `logged_out`: it begins with a browser in which nobody is.
    pub fn is_apart(&self, logged_out: bool) -> bool {
        let is_halfway = matches!(self.stops_at, Some(Stop::Code | Stop::Credentials)) || logged_out && self.stops_at.is_some();
        is_halfway || self.goes_on.is_some() || self.keeps.is_some() || self.as_before.is_some() || !self.tampers.is_empty()
    }

    /// It does something else with a page than a person who logs in and agrees.
    pub fn meddles(&self) -> bool {
        self.stops_at.is_some() || self.denies || !self.tampers.is_empty()
    }

    /// The steps that must have run before.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        self.goes_on.iter().map(|(step, _)| step.as_str()).chain(self.path_of.as_deref()).chain(self.as_before.as_deref())
    }

    /// Puts a `for_each` word in place of its variable.
    pub fn substitute(&mut self, variable: &str, text: &str) {
        self.tampers.iter_mut().for_each(|(_, value)| value.substitute(variable, text));
    }

    /// Every reference in it.
    pub fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        self.tampers.iter().for_each(|(_, value)| value.references(found));
    }
}

impl std::fmt::Display for Conduct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if let Some(keep) = self.keeps {
            parts.push(format!("with the cookies alone that are {}", keep.name()));
        }
        if let Some(step) = &self.as_before {
            parts.push(format!("with the cookies from before {step}"));
        }
        if let Some((step, taken)) = &self.goes_on {
            let path = self.path_of.as_ref().map_or_else(String::new, |other| format!(", by the path of the one at which {other} stopped"));
            parts.push(format!("in place of a request, the {} at which {step} stopped{path}", taken.name()));
        }
        parts.extend(self.tampers.iter().map(|(name, value)| format!("forms carry {value} as {name}")));
        if self.loads_images {
            parts.push("loads the images of the pages".to_owned());
        }
        if self.denies {
            parts.push("refuses consent".to_owned());
        }
        if let Some(stop) = self.stops_at {
            parts.push(match stop {
                Stop::Page => "stops at the first page".to_owned(),
                Stop::Credentials => "stops at a page that asks for a name, a password or a one-time code".to_owned(),
                stop => format!("stops at the {} page", stop.name()),
            });
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a login that was kept as the user's session was one for all trials after it.
    #[test]
    fn a_browser_that_stops_before_its_login_is_nobodys() {
        let stops = |at| Conduct { stops_at: Some(at), ..Conduct::default() };
        assert!(stops(Stop::Page).is_apart(true) && !stops(Stop::Page).is_apart(false));
        assert!(stops(Stop::Code).is_apart(false));
        assert!(!Conduct::default().is_apart(true), "it logs in");
    }
}
