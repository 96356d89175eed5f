//! Who permitted what, with which program, catalogue and target file it was run, what it left behind, and what shows that
//! nobody changed the report since.

use maud::{Markup, html};

use crate::report::gate;

use super::answer::{took, when};
use super::text::{Mark, Prose, T, count, heading, link};
use super::view::View;

pub fn about(view: &View<'_>) -> Markup {
    let (report, anchor) = (view.report, view.anchor("about"));
    let run = &report.run;
    let gate = gate::of(report);
    let sub = |title: &str| heading(view.level + 1, None, &html! { (title) });
    html! {
        section aria-labelledby=[view.label(&anchor)] {
            (heading(view.level, Some(&anchor), &html! { "About this run" }))
            @for warning in &report.warnings { div class="notice" { p { strong { "Warning: " } (Prose(warning)) } } }
            (sub("Permission and target"))
            dl class="rows" {
                div {
                    dt { "Permission" }
                    dd {
                        @match &report.target.permission {
                            Some(permission) => {
                                (T(&permission.by)) ", until " (T(&permission.until))
                                @if let Some(what) = &permission.what { ", for: " (T(what)) }
                            },
                            None if report.target.loopback => "Not needed: every address is on the machine that ran the test.",
                            None => "The report names nobody who permitted it.",
                        }
                    }
                }
                div { dt { "Target" } dd { (T(&report.target.name)) ", " (link(&report.target.issuer, &report.target.issuer)) } }
                div {
                    dt { "Target file" }
                    dd {
                        (T(&report.target.source))
                        @if let Some(place) = report.target.place { ", line " (place.line) }
                        (digest(&report.target.digest))
                    }
                }
                div {
                    dt { "Clients" }
                    dd { ul class="ids" { @for (role, id) in &report.target.clients { li { (T(role)) ": " code { (T(id)) } } } } }
                }
                div { dt { "Users" } dd { @for (index, user) in report.target.users.iter().enumerate() { @if index > 0 { ", " } (T(user)) } } }
            }
            (sub("Program and catalogue"))
            dl class="rows" {
                div { dt { "Program" } dd { (T(&run.tool)) " " (T(&run.version)) (digest(&run.source_digest)) } }
                div { dt { "Catalogue" } dd { (count(report.verdicts.len(), "scenario", "scenarios")) (digest(&run.catalogue_digest)) } }
                div { dt { "Profile" } dd { (run.profile.name()) } }
                div {
                    dt { "Gate" }
                    dd {
                        (T(&gate.words)) " (exit code " (gate.exit_code) "). "
                        @match gate.fail_on {
                            Some(least) => { "A broken MUST of at least severity " (least.name()) " fails it" },
                            None => "Nothing broken fails it",
                        }
                        @if gate.strict { "; a SHOULD counts like a MUST" }
                        @if gate.allow_inconclusive { "; undecided and skipped ones do not fail it" }
                        "."
                    }
                }
                @if let Some(shard) = &run.partition { div { dt { "Shard" } dd { (T(shard)) " of the selection" } } }
                div { dt { "Time" } dd { (T(&when(&run.started))) " to " (T(&when(&run.finished))) @if let Some(took) = took(report) { " (" (took) ")" } } }
                div { dt { "Requests" } dd { (run.requests) ", in which the server took " (format!("{:.1}", run.server_millis as f64 / 1e3)) " s" } }
                div { dt { "Schema" } dd { "report " (T(&report.schema_version)) } }
            }
            (sub("What it left behind"))
            dl class="rows" {
                (list("Taken back", &report.cleaned_up))
                (list("Left on the server", &report.remains))
                @if report.cleaned_up.is_empty() && report.remains.is_empty() { div { dt { "Left" } dd { "Nothing is reported." } } }
            }
            (refusals(view))
            (integrity(view))
        }
    }
}

fn digest(sha256: &str) -> Markup {
    html! { @if !sha256.is_empty() { div class="digest" { "SHA-256 " (T(sha256)) } } }
}

fn list(name: &str, lines: &[String]) -> Markup {
    html! { @if !lines.is_empty() { div { dt { (name) } dd { ul class="plain" { @for line in lines { li { (T(line)) } } } } } } }
}

/// What this server's refusals look like: a verdict compares with them.
fn refusals(view: &View<'_>) -> Markup {
    html! {
        @if !view.report.negative_controls.is_empty() {
            (heading(view.level + 1, None, &html! { "What refusals of this server look like" }))
            details {
                summary { (count(view.report.negative_controls.len(), "request", "requests")) " that no server may grant" }
                table {
                    caption class="sr" { "Negative controls" }
                    thead { tr { th scope="col" { "Sent" } th scope="col" { "Kind" } th scope="col" { "Answer" } th scope="col" { "Shape" } } }
                    tbody {
                        @for negative in &view.report.negative_controls {
                            tr {
                                th scope="row" { (T(&negative.what)) }
                                td { (negative.kind.name().replace('_', " ")) }
                                td { @if negative.answer.outcome.granted() { (Mark::Broken.icon()) } (negative.answer.outcome.words()) }
                                td { (T(&negative.answer.shape)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn integrity(view: &View<'_>) -> Markup {
    let report = view.report;
    html! {
        (heading(view.level + 1, None, &html! { "Integrity" }))
        @match &report.integrity {
            None => p { "The JSON report that this page was made of carries no digest of itself." },
            Some(integrity) => {
                p {
                    "This page was made of a JSON report, and what follows is said of that file. Check it with " code { "grantproof verify FILE.json" }
                    ", and make this page of it again with " code { "grantproof render" } ": the page alone proves nothing."
                }
                dl class="rows" {
                    div { dt { "Digest" } dd { (T(&integrity.method)) (digest(&integrity.digest)) } }
                    div { dt { "Evidence" } dd { (count(integrity.chain.len(), "piece", "pieces")) ", each chained to the one before it" } }
                    div {
                        dt { "Signature" }
                        dd {
                            @match &integrity.signature {
                                Some(signature) => {
                                    (T(&signature.algorithm)) ", public key " code { (T(&signature.public_key)) } div class="digest" { (T(&signature.signature)) }
                                    "A good signature shows that who has the private key signed exactly this report. It does not show who that is, or that the report is true."
                                },
                                None => "None: the digest shows accidents, and not somebody who changed the report and made the digest again.",
                            }
                        }
                    }
                }
            },
        }
        @if !report.made_of.is_empty() {
            p { "Made of these reports:" }
            ul class="plain" {
                @for origin in &report.made_of {
                    li { code { (T(&origin.file)) } (digest(&origin.digest)) @if let Some(key) = &origin.signed_by { "signed by " code { (T(key)) } } }
                }
            }
        }
    }
}
