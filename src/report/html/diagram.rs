//! The exchange of a trial as a sequence diagram: who asks whom, what was answered, and where the change is. Control and
//! attack have the same rows, so that they can be read side by side.

use maud::{Markup, html};

use crate::model::observation::{Exchange, Outcome, StepObservation, Trial};
use crate::model::step::StepKind;
use crate::model::verdict::Verdict;

use super::text::{T, count, short};

/// Steps that are drawn.
const MOST_ROWS: usize = 24;

const WIDTH: f64 = 470.0;
const HEAD: f64 = 34.0;
const ROW: f64 = 50.0;
/// For the words of the change above an arrow.
const CHANGE: f64 = 17.0;
/// About the width of a character.
const CHARACTER: f64 = 6.1;

/// One step, in the control, in the attack or in both.
pub struct Row<'t> {
    pub name: &'t str,
    pub control: Option<&'t StepObservation>,
    pub attack: Option<&'t StepObservation>,
    /// What the attack does differently here, in words.
    pub change: Vec<&'t str>,
    /// The attacker's token at a protected place.
    pub proof: bool,
}

impl Row<'_> {
    fn height(&self) -> f64 {
        ROW + if self.change.is_empty() { 0.0 } else { CHANGE }
    }

    fn steps(&self) -> impl Iterator<Item = &StepObservation> {
        self.control.into_iter().chain(self.attack)
    }
}

/// The words of the report about one step: `redeem: - code_verifier`, `after rotate: … (replay)`.
pub fn changes<'t>(lines: &'t [String], step: &str) -> Vec<&'t str> {
    let about = |line: &'t String| {
        let (place, what) = line.split_once(": ")?;
        let added =
            || place.starts_with("after ") && what.strip_suffix(')').and_then(|w| w.rsplit_once('(')).is_some_and(|(_, name)| name == step);
        if place == step { Some(what) } else { added().then_some(line.as_str()) }
    };
    lines.iter().filter_map(about).collect()
}

/// The steps of control and attack, in the order of the attack.
pub fn rows<'t>(control: Option<&'t Trial>, attack: &'t Trial, lines: &'t [String]) -> Vec<Row<'t>> {
    let row = |name: &'t str, control, attack| Row { name, control, attack, change: changes(lines, name), proof: false };
    let mut rows: Vec<Row<'t>> = attack.steps.iter().map(|s| row(&s.step, control.and_then(|c| c.step(&s.step)), Some(s))).collect();
    let mut after = 0;
    for step in control.map(|c| c.steps.as_slice()).unwrap_or_default() {
        if let Some(at) = rows.iter().position(|r| r.name == step.step) {
            after = at + 1;
            continue;
        }
        // What else a control has is there for other attacks that share it: an attack's own later steps stand in its trial,
        // also where they were not sent.
        if !changes(lines, &step.step).is_empty() {
            rows.insert(after.min(rows.len()), row(&step.step, Some(step), None));
            after += 1;
        }
    }
    if let Some(proof) = &attack.proof {
        rows.push(Row { name: "proof", control: None, attack: Some(proof), change: Vec::new(), proof: true });
    }
    rows
}

/// The steps of a control by itself.
pub fn control_rows(control: &Trial) -> Vec<Row<'_>> {
    control.steps.iter().map(|s| Row { name: &s.step, control: Some(s), attack: None, change: Vec::new(), proof: false }).collect()
}

/// Which of the two is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Control,
    Attack,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    Browser,
    Client,
    Server,
    Resource,
}

impl Actor {
    fn name(self, side: Side) -> &'static str {
        match self {
            Actor::Browser => "Browser",
            // What is sent between the steps of the attacker is the victim's.
            Actor::Client if side == Side::Attack => "Client, attacker",
            Actor::Client => "Client",
            Actor::Server => "Auth. server",
            Actor::Resource => "Resource",
        }
    }
}

fn ends(step: &StepObservation) -> (Actor, Actor) {
    match step.kind {
        StepKind::AuthorizationRequest | StepKind::LogoutRequest | StepKind::PageRequest => (Actor::Browser, Actor::Server),
        StepKind::ResourceRequest => (Actor::Client, Actor::Resource),
        StepKind::PushedAuthorizationRequest
        | StepKind::TokenRequest
        | StepKind::IntrospectionRequest
        | StepKind::RevocationRequest
        | StepKind::DocumentRequest
        | StepKind::EndpointRequest
        | StepKind::ListenerAddress => (Actor::Client, Actor::Server),
        StepKind::ListenerRequest => (Actor::Server, Actor::Client),
    }
}

/// One side as a picture. `anchor` begins the ids in it; `caption` says what it is.
pub fn panel(rows: &[Row<'_>], side: Side, verdict: Verdict, anchor: &str, caption: &str) -> Markup {
    let left = rows.len().saturating_sub(MOST_ROWS);
    let rows = &rows[..rows.len() - left];
    let mut actors: Vec<Actor> = rows.iter().flat_map(Row::steps).map(ends).flat_map(|(a, b)| [a, b]).collect();
    actors.sort_unstable();
    actors.dedup();
    let height = HEAD + rows.iter().map(Row::height).sum::<f64>() + 10.0;
    let at = |actor: Actor| {
        let index = actors.iter().position(|a| *a == actor).unwrap_or(0) as f64;
        52.0 + index * (WIDTH - 104.0 - 16.0) / (actors.len().max(2) - 1) as f64
    };
    // Once something differs, a grant of an attack that broke the defense is the harm.
    let first_change = rows.iter().position(|r| !r.change.is_empty()).unwrap_or(0);
    let mut y = HEAD;
    let mut drawn = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let harm = side == Side::Attack && verdict == Verdict::Broken && index >= first_change;
        drawn.push(step(row, side, y, &at, harm));
        y += row.height();
    }
    html! {
        figure {
            svg class="diagram" viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-labelledby={ (anchor) "t " (anchor) "d" } {
                title id={ (anchor) "t" } { (T(caption)) }
                desc id={ (anchor) "d" } { (T(&description(rows, side))) }
                @for actor in &actors {
                    line class="life" x1=(at(*actor)) x2=(at(*actor)) y1="22" y2=(height - 4.0) {}
                    text class="actor" x=(centred(at(*actor), actor.name(side))) y="15" { (actor.name(side)) }
                }
                @for markup in &drawn { (markup) }
            }
            figcaption { (T(caption)) @if left > 0 { " (" (count(left, "more step", "more steps")) ")" } }
        }
    }
}

/// Where a text must be centred so that it stays inside.
fn centred(x: f64, text: &str) -> f64 {
    let half = (text.chars().count() as f64 * CHARACTER / 2.0).min(WIDTH / 2.0) + 2.0;
    x.clamp(half, WIDTH - half)
}

fn step(row: &Row<'_>, side: Side, top: f64, at: &dyn Fn(Actor) -> f64, harm: bool) -> Markup {
    let seen = if side == Side::Control { row.control } else { row.attack };
    let changed = !row.change.is_empty();
    let marked = side == Side::Attack && changed;
    let base = top + if changed { CHANGE } else { 0.0 };
    let Some(seen) = seen else {
        let words = match (side, changed, row.proof) {
            (Side::Control, _, true) => return html! {},
            (Side::Control, ..) => format!("{}: not in the control", row.name),
            (Side::Attack, ..) => format!("{}: left out by the attack", row.name),
        };
        let words = short(&words, 60);
        return html! {
            @if marked { (band(row, top)) }
            text class="absent" x=(centred(WIDTH / 2.0, &words)) y=(base + 24.0) { (T(&words)) }
        };
    };
    let (from, to) = ends(seen);
    let (a, b) = (at(from), at(to));
    let class = match seen.outcome {
        o if harm && o.granted() => "harm",
        o if o.granted() || o == Outcome::Refused => "plain",
        _ => "unsure",
    };
    let (asked, answered) = (short(&request_words(row, seen), 62), short(&answer_words(seen), 62));
    let middle = f64::midpoint(a, b);
    html! {
        @if marked { (band(row, top)) }
        text class={ "asked" @if marked { " marked" } } x=(centred(middle, &asked)) y=(base + 11.0) { (T(&asked)) }
        @if !seen.exchanges.is_empty() {
            line class={ "arrow" @if marked { " marked" } } x1=(a) x2=(b - 5.0) y1=(base + 17.0) y2=(base + 17.0) {}
            path class={ "tip" @if marked { " marked" } } d=(format!("M{b} {y}l-7 -4v8z", y = base + 17.0)) {}
            text class={ "answered " (class) } x=(centred(middle, &answered)) y=(base + 31.0) { (T(&answered)) }
            line class={ "arrow back " (class) } x1=(b) x2=(a + 5.0) y1=(base + 37.0) y2=(base + 37.0) {}
            path class={ "tip " (class) } d=(format!("M{a} {y}l7 -4v8z", y = base + 37.0)) {}
        }
    }
}

/// The place of the change: a band over the whole width, with its words.
fn band(row: &Row<'_>, top: f64) -> Markup {
    let words = short(&format!("CHANGE  {}", row.change.join("; ")), 72);
    html! {
        rect class="band" x="1" y=(top - 2.0) width=(WIDTH - 2.0) height=(row.height() - 4.0) rx="5" {}
        text class="change" x="10" y=(top + 12.0) { (T(&words)) }
    }
}

fn request_words(row: &Row<'_>, step: &StepObservation) -> String {
    let name = if row.proof { "proof" } else { row.name };
    let Some(first) = step.exchanges.first() else {
        let why = if step.note.is_empty() { step.outcome.words() } else { &step.note };
        return format!("{name}: {why}");
    };
    let more = match step.exchanges.len() - 1 {
        0 => String::new(),
        n => format!(" (+{n})"),
    };
    format!("{name}: {} {}{more}", first.method, path(first))
}

/// The path of the address.
fn path(exchange: &Exchange) -> &str {
    let rest = exchange.url.split_once("://").map_or(exchange.url.as_str(), |(_, rest)| rest);
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    path.split(['?', '#']).next().unwrap_or(path)
}

/// `200 issued: access_token, refresh_token`.
pub fn answer_words(step: &StepObservation) -> String {
    let field = |name: &str| step.fields.get(name).map(String::as_str).filter(|v| !v.is_empty());
    let last = step.exchanges.last().map_or(0, |e| e.status);
    let status = match (field("status"), last) {
        (Some(status), _) => status.to_owned(),
        (None, 0) => "no answer".to_owned(),
        (None, status) => status.to_string(),
    };
    let mut what: Vec<String> = Vec::new();
    if step.outcome.granted() {
        let given =
            ["code", "access_token", "refresh_token", "id_token"].into_iter().filter(|n| field(n).is_some()).collect::<Vec<_>>().join(", ");
        match field("delivered_to") {
            Some(place) if place != "registered" && !given.is_empty() => what.push(format!("{given} to {place}")),
            _ if !given.is_empty() => what.push(given),
            _ => {}
        }
        what.extend(["active", "sub"].iter().filter_map(|n| Some(format!("{n} {}", field(n)?))));
        what.extend(field("winners").map(|n| format!("{n} succeeded")));
    } else if let Some(error) = field("error") {
        what.push(error.to_owned());
    } else if !step.note.is_empty() {
        what.push(step.note.clone());
    }
    let what = if what.is_empty() { String::new() } else { format!(": {}", what.join(", ")) };
    format!("{status} {}{what}", step.outcome.words())
}

/// The picture in words, for whoever does not see it.
fn description(rows: &[Row<'_>], side: Side) -> String {
    let words = |row: &Row<'_>| {
        let seen = if side == Side::Control { row.control } else { row.attack }?;
        let (from, to) = ends(seen);
        let change =
            if side == Side::Attack && !row.change.is_empty() { format!(" Changed: {}.", row.change.join("; ")) } else { String::new() };
        let (from, to) = (from.name(side), to.name(side));
        Some(format!("{from} to {to}: {}, answered {}.{change}", request_words(row, seen), answer_words(seen)))
    };
    rows.iter().filter_map(words).collect::<Vec<_>>().join(" ")
}
