//! Requests and answers as they went over the wire, redacted; what the attack changed is marked. Parameters stand on a line
//! each, still encoded as they were sent.

use std::collections::BTreeSet;

use maud::{Markup, Render as _, html};
use percent_encoding::percent_decode_str;

use crate::model::observation::{Exchange, StepObservation};

use super::text::{T, count, cut};

/// Characters of a body that are shown.
const MOST_BODY: usize = 2000;
/// Requests of one step that are shown: a burst repeats itself.
const MOST_EXCHANGES: usize = 6;
/// Headers that differ from request to request for no reason of the attack's.
const RESTLESS_HEADERS: &[&str] = &["cookie", "content-length", "dpop", "date"];

/// What of a step is other than in the control.
#[derive(Debug, Default)]
pub struct Changed {
    /// The step is not in the control.
    pub added: bool,
    /// Parameters.
    pub names: BTreeSet<String>,
}

impl Changed {
    /// `changes`: the words of the report about this step; `before` and `after`: the same step of the two controls. A value
    /// that differs between the controls is drawn anew each time, and its difference is no change.
    pub fn of(step: &StepObservation, changes: &[&str], before: Option<&StepObservation>, after: Option<&StepObservation>) -> Changed {
        let named = changes.iter().filter_map(|c| c.trim_start_matches(['+', '-', ' ']).split([' ', ',']).next());
        let mut names: BTreeSet<String> = named.filter(|n| !n.is_empty()).map(str::to_owned).collect();
        if let Some(before) = before {
            for (name, value) in &step.sent {
                let steady = match (before.sent.get(name), after) {
                    (Some(was), Some(after)) => after.sent.get(name).is_some_and(|is| without_hashes(is) == without_hashes(was)),
                    (Some(_), None) => false,
                    (None, _) => true,
                };
                if steady && before.sent.get(name).map(|was| without_hashes(was)) != Some(without_hashes(value)) {
                    names.insert(name.clone());
                }
            }
        }
        Changed { added: before.is_none() && !changes.is_empty(), names }
    }
}

/// `‹code f42741›` → `‹code›`: equal in two trials.
fn without_hashes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('‹') {
        let Some(length) = rest[start..].find('›') else { break };
        let mark = &rest[start..start + length];
        plain.push_str(&rest[..start]);
        plain.push_str(mark.split(' ').next().unwrap_or(mark));
        plain.push('›');
        rest = &rest[start + length + '›'.len_utf8()..];
    }
    plain + rest
}

/// The exchanges of a step; `control`: the same step of the control.
pub fn step(step: &StepObservation, control: Option<&StepObservation>, changed: &Changed) -> Markup {
    let left = step.exchanges.len().saturating_sub(MOST_EXCHANGES);
    html! {
        @for (index, exchange) in step.exchanges.iter().take(MOST_EXCHANGES).enumerate() {
            @let twin = control.and_then(|c| c.exchanges.get(index)).filter(|t| t.method == exchange.method && path(&t.url) == path(&exchange.url));
            div class="pair" {
                pre class={ "request" @if changed.added { " changed" } } { (request(exchange, twin, changed)) }
                pre class="answer" { (answer(exchange)) }
            }
        }
        @if left > 0 { p class="dim" { "and " (count(left, "more request", "more requests")) ": in the JSON report" } }
    }
}

fn path(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn request(exchange: &Exchange, twin: Option<&Exchange>, changed: &Changed) -> Markup {
    let (address, query) = exchange.url.split_once('?').unwrap_or((&exchange.url, ""));
    let form = header(exchange, "content-type").is_some_and(|v| v.starts_with("application/x-www-form-urlencoded"));
    let other_method = changed.names.contains("sent");
    html! {
        (line(&format!("{} {address}", exchange.method), other_method))
        (parameters(query, '?', twin.and_then(|t| t.url.split_once('?')).map(|(_, q)| q), changed))
        (headers(exchange, twin))
        @if !exchange.request_body.is_empty() {
            "\n"
            @if form {
                (parameters(&exchange.request_body, ' ', twin.map(|t| t.request_body.as_str()), changed))
            } @else {
                (body(&exchange.request_body))
            }
        }
    }
}

fn header<'e>(exchange: &'e Exchange, name: &str) -> Option<&'e str> {
    exchange.request_headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

fn headers(exchange: &Exchange, twin: Option<&Exchange>) -> Markup {
    let restless = |name: &str| RESTLESS_HEADERS.contains(&name);
    let differs = |name: &str, value: &str| {
        twin.is_some_and(|t| !restless(name) && header(t, name).map(without_hashes) != Some(without_hashes(value)))
    };
    html! {
        @for (name, value) in &exchange.request_headers { (line(&format!("{name}: {value}"), differs(name, value))) }
        @if let Some(twin) = twin {
            @for (name, value) in twin.request_headers.iter().filter(|(n, _)| !restless(n) && header(exchange, n).is_none()) {
                (gone(&format!("{name}: {value}")))
            }
        }
    }
}

fn line(text: &str, marked: bool) -> Markup {
    let spaces = text.len() - text.trim_start_matches(' ').len();
    let (indent, text) = text.split_at(spaces);
    html! { (indent) @if marked { mark { (T(text)) } } @else { (T(text)) } "\n" }
}

/// What the control sends and the attack does not.
fn gone(text: &str) -> Markup {
    html! { del { (T(text)) } span class="note" { "  ← in the control only" } "\n" }
}

/// A query or a form, a line each. `first`: what stands before the first one.
fn parameters(text: &str, first: char, twin: Option<&str>, changed: &Changed) -> Markup {
    let name = |pair: &str| {
        let raw = pair.split('=').next().unwrap_or(pair).replace('+', " ");
        percent_decode_str(&raw).decode_utf8_lossy().into_owned()
    };
    let sent: Vec<&str> = text.split('&').filter(|p| !p.is_empty()).collect();
    let names: BTreeSet<String> = sent.iter().map(|p| name(p)).collect();
    let was: Vec<&str> = twin.unwrap_or_default().split('&').filter(|p| !p.is_empty() && !names.contains(&name(p))).collect();
    html! {
        @for (index, pair) in sent.iter().enumerate() {
            @let sign = if index == 0 { first } else { '&' };
            (line(&format!("  {sign}{pair}"), changed.names.contains(&name(pair)) || twin.is_some_and(|t| !t.split('&').any(|p| name(p) == name(pair)))))
        }
        @for pair in was { (gone(&format!("  {pair}"))) }
    }
}

fn answer(exchange: &Exchange) -> Markup {
    if exchange.status == 0 {
        let why = exchange.error.as_deref().unwrap_or("the reason was not kept");
        return html! { "no answer: " (T(why)) };
    }
    html! {
        (exchange.status) "\n"
        @for (name, value) in &exchange.response_headers { (T(name)) ": " (T(value)) "\n" }
        @if !exchange.response_body.is_empty() { "\n" (body(&exchange.response_body)) }
        @if let Some(error) = &exchange.error { "\n(" (T(error)) ")" }
    }
}

fn body(text: &str) -> Markup {
    let text = text.replace("\r\n", "\n");
    let (shown, left) = cut(&text, MOST_BODY);
    html! { (T(shown).render()) @if left > 0 { span class="note" { "\n… " (left) " more characters: in the JSON report" } } }
}

#[cfg(test)]
mod tests {
    use super::without_hashes;

    #[test]
    fn marks_are_compared_by_their_kind() {
        assert_eq!(without_hashes("a=‹code f42741›&b=‹password›&c=‹"), "a=‹code›&b=‹password›&c=‹");
    }
}
