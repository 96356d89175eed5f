//! Whether two trials sent the same requests: methods, paths and parameters, since codes, tokens and random values are new each
//! time.

use crate::model::observation::{Exchange, StepObservation, Trial};

/// The requests that the trial itself made: of each step the first, since the pages that follow an authorization request
/// depend on who is logged in.
fn own(trial: &Trial) -> Vec<(&StepObservation, &Exchange)> {
    trial.steps.iter().filter_map(|step| Some((step, step.exchanges.first()?))).collect()
}

/// How many there are.
pub fn count(trial: &Trial) -> usize {
    own(trial).len()
}

/// The first difference, in words; None: they sent the same.
pub fn difference(then: &Trial, now: &Trial) -> Option<String> {
    let (then, now) = (own(then), own(now));
    for (index, (step, new)) in now.iter().enumerate() {
        let Some((_, old)) = then.get(index) else {
            return Some(format!("{} was not sent then", step.step));
        };
        let (a, b) = (shape(old), shape(new));
        if a != b {
            return Some(format!("{}: {b}, then {a}", step.step));
        }
    }
    then.get(now.len()).map(|(step, _)| format!("{} was sent then, and not now", step.step))
}

/// `POST /token code, grant_type (application/x-www-form-urlencoded, Basic)`.
fn shape(exchange: &Exchange) -> String {
    let (path, query) = match url::Url::parse(&exchange.url) {
        Ok(url) => (url.path().to_owned(), url.query().unwrap_or_default().to_owned()),
        Err(_) => (exchange.url.clone(), String::new()),
    };
    let header =
        |wanted: &str| exchange.request_headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| v.as_str());
    let media = header("content-type").unwrap_or_default();
    let names = |text: &str| -> Vec<String> {
        text.split('&').filter(|p| !p.is_empty()).map(|p| p.split('=').next().unwrap_or(p).to_owned()).collect()
    };
    let mut parameters = names(&query);
    if media.contains("x-www-form-urlencoded") {
        parameters.extend(names(&exchange.request_body));
    }
    let scheme = header("authorization").and_then(|value| value.split(' ').next()).unwrap_or_default();
    let about: Vec<&str> = [media, scheme].into_iter().filter(|text| !text.is_empty()).collect();
    let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
    format!("{} {path} {}{about}", exchange.method, parameters.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::Outcome;
    use crate::model::step::StepKind;

    fn trial(requests: &[(&str, &str)]) -> Trial {
        let steps = requests.iter().enumerate().map(|(index, (url, body))| StepObservation {
            exchanges: vec![Exchange {
                method: "POST".into(),
                url: (*url).into(),
                request_headers: vec![("content-type".into(), "application/x-www-form-urlencoded".into())],
                request_body: (*body).into(),
                certificate: None,
                status: 400,
                response_headers: Vec::new(),
                response_body: String::new(),
                error: None,
                server_micros: 0,
            }],
            ..StepObservation::new(format!("step{index}"), StepKind::TokenRequest, Outcome::Refused)
        });
        Trial { steps: steps.collect(), ..Trial::default() }
    }

    #[test]
    fn new_values_at_another_port_are_the_same_requests() {
        let a = trial(&[("http://127.0.0.1:1/token", "code=a&x=1")]);
        let b = trial(&[("http://127.0.0.1:2/token", "code=b&x=1")]);
        assert_eq!(difference(&a, &b), None);
        assert_eq!(count(&a), 1);
    }

    #[test]
    fn another_path_parameter_or_number_is_told() {
        let a = trial(&[("http://127.0.0.1:1/token", "code=a&x=1")]);
        for other in [
            &[("http://127.0.0.1:1/other", "code=a&x=1")][..],
            &[("http://127.0.0.1:1/token", "code=a")],
            &[],
            &[("http://127.0.0.1:1/token", "code=a&x=1"); 2],
        ] {
            assert!(difference(&a, &trial(other)).is_some(), "{other:?}");
        }
    }
}
