//! `docs`: the catalogue as pages: one for each scenario, made from its file, and an index by group, severity and standard.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use crate::model::profile::Severity;
use crate::model::scenario::{Attack, Scenario};
use crate::report::build::changes;
use crate::report::coverage;
use crate::report::safe::{code, markdown as safe};
use crate::scenario::catalogue::{self, Catalogue};
use crate::scenario::standard::SettingsFile;

use super::args::Docs;
use super::explain::{attack_requests, control_requests};
use super::{Failure, inputs, print};

/// The name of the page that leads to the others.
const INDEX: &str = "README.md";

/// How each page begins: what does not begin so is not ours to take away.
const MADE: &str = "<!-- Made from ";

/// Writes every page into a folder, and takes away the pages of scenarios that are gone. With `--check` it writes nothing, and says which
/// pages are stale.
///
/// # Errors
/// Wrong scenario files, a folder that cannot be written, or stale pages (1).
pub fn docs(arguments: &Docs) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(arguments.scenarios.as_deref())?;
    let pages = pages(&catalogue)?;
    let stale = stale(&arguments.folder, &pages);
    if arguments.check {
        let list: String = stale.iter().map(|path| format!("stale: {}\n", arguments.folder.join(path).display())).collect();
        print(&format!("{list}{} pages, {} stale\n", pages.len(), stale.len()))?;
        return Ok(u8::from(!stale.is_empty()));
    }
    for path in &stale {
        let file = arguments.folder.join(path);
        let unwritable = |e: std::io::Error| Failure::input(format!("error: {}: {e}", file.display()));
        match pages.get(path) {
            Some(text) => {
                std::fs::create_dir_all(file.parent().unwrap_or(&arguments.folder)).map_err(unwritable)?;
                std::fs::write(&file, text).map_err(unwritable)?;
            }
            None => std::fs::remove_file(&file).map_err(unwritable)?,
        }
    }
    print(&format!("{} pages, {} written anew\n", pages.len(), stale.len()))?;
    Ok(0)
}

/// The pages that are not as they should be, and those that should not be there.
pub fn stale(folder: &Path, pages: &BTreeMap<String, String>) -> BTreeSet<String> {
    let is_stale = |(path, text): &(&String, &String)| std::fs::read_to_string(folder.join(path)).ok().as_ref() != Some(*text);
    let mut stale: BTreeSet<String> = pages.iter().filter(is_stale).map(|(path, _)| path.clone()).collect();
    for group in std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        for page in std::fs::read_dir(group.path()).into_iter().flatten().flatten() {
            let path = format!("{}/{}", group.file_name().to_string_lossy(), page.file_name().to_string_lossy());
            let is_ours = || std::fs::read_to_string(page.path()).is_ok_and(|text| text.starts_with(MADE));
            if path.ends_with(".md") && !pages.contains_key(&path) && is_ours() {
                stale.insert(path);
            }
        }
    }
    stale
}

/// Every page by its path inside of the folder.
///
/// # Errors
/// A catalogue whose list of what is not tested cannot be read.
pub fn pages(catalogue: &Catalogue) -> Result<BTreeMap<String, String>, Failure> {
    let settings = catalogue::settings().map_err(|wrong| inputs::diagnostics(&wrong))?;
    let mut pages: BTreeMap<String, String> =
        catalogue.scenarios.values().map(|s| (format!("{}.md", s.id), page(catalogue, s, &settings))).collect();
    pages.insert(INDEX.to_owned(), index(catalogue)?);
    Ok(pages)
}

fn page(catalogue: &Catalogue, scenario: &Scenario, settings: &SettingsFile) -> String {
    let mut out = format!("{MADE}scenarios/{0}.yaml by `grantproof docs`. -->\n\n# {0}\n\n**{1}**\n\n", scenario.id, safe(&scenario.title));
    let levels: Vec<String> = scenario.level.iter().map(|(profile, level)| format!("{} in {}", level.name(), profile.name())).collect();
    let cwe = scenario.cwe.as_ref().map(|cwe| format!(", {cwe}")).unwrap_or_default();
    let _ =
        writeln!(out, "Severity {}{cwe}; {}; risk of the test: {}.\n", scenario.severity.name(), levels.join(", "), scenario.risk.name());
    let _ = writeln!(out, "- **The defense**: {}", safe(&scenario.defense));
    let _ = writeln!(out, "- **Without it**: {}", safe(&scenario.harm));
    let _ = writeln!(out, "- **What to do**: {}", safe(&scenario.fix));
    for (product, setting) in settings.of(&scenario.id) {
        let _ = writeln!(out, "- **In {}**: {} (broken without it and held with it in our tests)", safe(&product.product), setting.set);
    }
    out.push('\n');
    let _ = writeln!(
        out,
        "## How it is tried\n\nThe control, granted before and after each attack:\n\n```text\n{}```\n",
        control_requests(scenario)
    );
    if !scenario.applies_when.is_empty() {
        out.push_str("It is tried where\n\n");
        for condition in &scenario.applies_when {
            let _ = writeln!(out, "- {}; else: {}", code(&condition.predicate.to_string()), safe(&condition.otherwise));
        }
        out.push('\n');
    }
    if !scenario.claimed_by.is_empty() {
        out.push_str("## What the metadata claims\n\n");
        for claim in &scenario.claimed_by {
            let _ = writeln!(out, "- {}: the report says whether it is enforced", code(&format!("{}: {}", claim.member, claim.says)));
        }
        out.push('\n');
    }
    if !scenario.measures.is_empty() {
        out.push_str("## What is measured\n\n");
        for measure in &scenario.measures {
            let _ =
                writeln!(out, "- {}, in {} ({}). Advised: {}", safe(&measure.name), safe(&measure.unit), measure.by, safe(&measure.advice));
        }
        out.push('\n');
    }
    for attack in &scenario.attacks {
        attack_section(&mut out, catalogue, scenario, attack);
    }
    out.push_str("## What the standards say\n\n");
    for id in &scenario.basis {
        if let Some(requirement) = catalogue.requirements.get(id) {
            let _ = writeln!(out, "- [{id}]({}) ({}): {}", requirement.link, requirement.keyword.name(), safe(&requirement.asks));
        }
    }
    out
}

fn attack_section(out: &mut String, catalogue: &Catalogue, scenario: &Scenario, attack: &Attack) {
    let _ = writeln!(out, "### {}: {}\n", attack.id, safe(&attack.title));
    if let Some((variable, words)) = &attack.for_each {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let _ = writeln!(out, "For each `{variable}` of {}.\n", words.join(", "));
    }
    for line in changes(attack, None) {
        let _ = writeln!(out, "- Change: {}", safe(&line));
    }
    for condition in &attack.applies_when {
        let _ = writeln!(out, "- Tried where {}; else: {}", code(&condition.predicate.to_string()), safe(&condition.otherwise));
    }
    let (holds, broken) = if attack.measures { ("Refused", "Taken") } else { ("The defense holds", "It is broken") };
    let _ = writeln!(out, "- {holds} if {}", code(&attack.holds.to_string()));
    let _ = writeln!(out, "- {broken} if {}", code(&attack.broken.to_string()));
    if !attack.implied_by.is_empty() {
        let causes: Vec<String> = attack.implied_by.iter().map(|cause| cause_link(catalogue, cause)).collect();
        let _ = writeln!(out, "- Filed under {} where that is broken too", causes.join(", "));
    }
    if let Some(flaw) = attack.proved_by.first() {
        let _ = writeln!(out, "- See it: `grantproof run --flaw {flaw} -s {}`", scenario.id);
    }
    if let Some(why) = &attack.unproved {
        let _ = writeln!(out, "- The practice server cannot show it: {}", safe(why));
    }
    let mut requests = String::new();
    attack_requests(&mut requests, scenario, attack);
    let _ = writeln!(out, "\n```diff\n{}```\n", as_diff(&requests));
}

/// Signs at the beginning of their lines, where a diff has them.
fn as_diff(requests: &str) -> String {
    let line = |line: &str| {
        let text = line.trim_start();
        let signed = text.starts_with("+ ") || text.starts_with("- ");
        if signed { format!("{}{}{}\n", &text[..1], &line[..line.len() - text.len()], &text[1..]) } else { format!(" {line}\n") }
    };
    requests.lines().map(line).collect()
}

/// A scenario, or an attack of one, as a link to its page.
fn cause_link(catalogue: &Catalogue, cause: &str) -> String {
    let scenario = if catalogue.scenarios.contains_key(cause) { cause } else { cause.rsplit_once('/').map_or(cause, |(id, _)| id) };
    format!("[{cause}](../{scenario}.md)")
}

fn index(catalogue: &Catalogue) -> Result<String, Failure> {
    let mut out = format!("{MADE}scenarios/ and standards/ by `grantproof docs`. -->\n\n# The attacks\n\n");
    let attacks: usize = catalogue.scenarios.values().map(|s| s.attacks.len()).sum();
    let _ = writeln!(
        out,
        "{} scenarios with {attacks} attacks, by [group](#by-group), [severity](#by-severity) and [standard](#by-standard); and what is [not tested](#not-tested).\n",
        catalogue.scenarios.len()
    );
    let link = |s: &Scenario| format!("[{0}]({0}.md)", s.id);
    out.push_str("## By group\n");
    let mut groups: BTreeMap<&str, Vec<&Scenario>> = BTreeMap::new();
    for scenario in catalogue.scenarios.values() {
        groups.entry(scenario.id.split('/').next().unwrap_or_default()).or_default().push(scenario);
    }
    for (group, scenarios) in groups {
        let _ = writeln!(out, "\n### {group}\n");
        for scenario in scenarios {
            let _ = writeln!(out, "- {}: {} ({})", link(scenario), safe(&scenario.title), scenario.severity.name());
        }
    }
    out.push_str("\n## By severity\n\n");
    for severity in Severity::ALL {
        let links: Vec<String> = catalogue.scenarios.values().filter(|s| s.severity == *severity).map(link).collect();
        let _ = writeln!(out, "- **{}** ({}): {}", severity.name(), links.len(), links.join(", "));
    }
    out.push_str("\n## By standard\n");
    for standard in coverage::standards(catalogue) {
        let _ = writeln!(out, "\n### {}\n\n[{}]({})\n", standard.document, safe(&standard.title), standard.link);
        for requirement in &standard.requirements {
            let by: Vec<String> = requirement.scenarios.iter().map(|id| format!("[{id}]({id}.md)")).collect();
            let tested = match (&requirement.why_not, by.is_empty()) {
                (_, false) => by.join(", "),
                (Some(why), true) => format!("not from outside: {}", safe(why)),
                (None, true) => "no scenario yet".to_owned(),
            };
            let _ = writeln!(out, "- [{}]({}) ({}): {tested}", requirement.id, requirement.link, requirement.keyword);
        }
    }
    out.push_str("\n## Not tested\n\n");
    for entry in catalogue::not_tested().map_err(|wrong| inputs::diagnostics(&wrong))? {
        let _ = writeln!(out, "- {}: {}", entry.id, safe(&entry.why));
    }
    Ok(out)
}
