//! The catalogue: embedded scenario files, extended or overridden by a directory of the user's, and the choice of what
//! runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::diagnostic::{Diagnostic, suggestion};
use crate::model::profile::{Profile, Severity};
use crate::model::scenario::{Control, Scenario};
use crate::model::step::PlannedStep;

use super::file::{FlowFile, ScenarioFile};
use super::outline::{self, Choosable, Head, Outline};
use super::resolve::{self, Library};
use super::standard::{Binds, Keyword, NotTestedFile, PeersFile, SettingsFile, StandardFile};

/// A data file in the program: its text, and the same as JSON, made when the program was built.
struct Embedded {
    path: &'static str,
    text: &'static str,
    json: &'static str,
    /// SHA-256 of the JSON, in hexadecimal: comments and layout do not change it.
    digest: &'static str,
}

impl Embedded {
    /// The file, read the quick way. Where that fails, the text is read: it has the places for the diagnostics.
    fn read<T: serde::de::DeserializeOwned>(&self, folder: &str) -> Result<T, Vec<Diagnostic>> {
        serde_json::from_str(self.json).or_else(|_| crate::yaml::read(&format!("{folder}/{}", self.path), self.text))
    }

    fn scenario(&self, library: &Library) -> Result<Scenario, Vec<Diagnostic>> {
        let (file, id) = (format!("scenarios/{}", self.path), id_of(self.path));
        let quick = serde_json::from_str::<ScenarioFile>(self.json).ok();
        let quick = quick.and_then(|read| resolve::checked(&read, &file, self.text, Some(&id), library).ok());
        quick.map_or_else(|| resolve::scenario(&file, self.text, Some(&id), library), Ok)
    }
}

mod embedded {
    use super::Embedded;
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// The flow that shows whether a server can come to the listener.
const REACH: &str = "listener_reached";

/// The flow that every client of a target file must be granted, and the steps of it that the file promises.
const PLAIN: (&str, [&str; 2]) = ("authorization_code", ["authorize", "redeem"]);

/// Every scenario that the program knows, by id, with what they rest on.
#[derive(Debug)]
pub struct Catalogue {
    pub scenarios: BTreeMap<String, Scenario>,
    /// What a server is meant to fetch: it shows whether it can come to the listener.
    pub reach: Option<Control>,
    /// A code is asked for and redeemed, and nothing is bent.
    pub plain: Option<Control>,
    pub requirements: BTreeMap<String, Requirement>,
    /// Document → title and link.
    pub documents: Documents,
    /// SHA-256 over what the files say, in hexadecimal: two reports with the same digest tried the same attacks.
    pub digest: String,
}

/// The known attacks that are no scenario, in the order of their ids, each with the reason.
///
/// # Errors
/// What is wrong with the embedded file.
pub fn not_tested() -> Result<Vec<NotTested>, Vec<Diagnostic>> {
    let file = crate::yaml::read::<NotTestedFile>("scenarios/NOT-TESTED.yaml", embedded::NOT_TESTED)?;
    Ok(file.not_tested.into_iter().map(|entry| NotTested { id: entry.id.value, why: entry.why.value }).collect())
}

/// Which other tools try the known attacks.
///
/// # Errors
/// What is wrong with the embedded file.
pub fn peers() -> Result<PeersFile, Vec<Diagnostic>> {
    crate::yaml::read("scenarios/PEERS.yaml", embedded::PEERS)
}

/// Settings of products that close a finding.
///
/// # Errors
/// What is wrong with the embedded file.
pub fn settings() -> Result<SettingsFile, Vec<Diagnostic>> {
    crate::yaml::read("scenarios/SETTINGS.yaml", embedded::SETTINGS)
}

/// Every embedded scenario in the order of the ids, without what it does: a quarter of the work of [`Catalogue::load`]. None: a file is
/// not as the program expects it, and loading it says why.
pub fn outlines() -> Option<Vec<Outline>> {
    let mut all: Vec<Outline> = embedded::SCENARIOS.iter().map(|file| outline::read(file.json)).collect::<Option<_>>()?;
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Some(all)
}

/// A known attack that no scenario tries.
#[derive(Debug, Clone, serde::Serialize)]
pub struct NotTested {
    pub id: String,
    pub why: String,
}

/// SHA-256 over the sources that this program was built from, in hexadecimal.
pub const SOURCE_DIGEST: &str = embedded::SOURCE_DIGEST;

/// A requirement of a standard.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Requirement {
    pub document: String,
    /// Why it cannot be seen from outside.
    pub why_not: Option<String>,
    pub asks: String,
    pub link: String,
    pub keyword: Keyword,
    pub binds: Binds,
}

impl Catalogue {
    /// Loads the embedded catalogue and, over it, the scenario files of a directory (`DIR/<group>/<name>.yaml`; the same
    /// id overrides, a new one extends).
    ///
    /// # Errors
    /// Every mistake in every file.
    pub fn load(extra: Option<&Path>, flaws: &BTreeSet<String>) -> Result<Catalogue, Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        let mut hasher = Sha256::new();
        let mut library = Library { flaws: flaws.clone(), ..Library::default() };
        let (requirements, documents) = requirements(&mut hasher, &mut wrong);
        library.requirements = requirements.keys().cloned().collect();
        for file in embedded::FLOWS {
            digest(&mut hasher, file.path, file.digest);
            match file.read::<FlowFile>("flows") {
                Ok(flow) => {
                    library.flows.insert(flow.flow.value.clone(), flow);
                }
                Err(diagnostics) => wrong.extend(diagnostics),
            }
        }
        let mut control_of = |name: &str, takes: &dyn Fn(&str) -> bool| {
            let control = library.flows.get(name).map(|flow| resolve::flow_of(&format!("flows/{name}.yaml"), flow, takes)).transpose();
            control.unwrap_or_else(|diagnostics| {
                wrong.extend(diagnostics);
                None
            })
        };
        let reach = control_of(REACH, &|_| true);
        let plain = control_of(PLAIN.0, &|step| PLAIN.1.contains(&step));
        let mut own = BTreeMap::new();
        if let Some(folder) = extra {
            read_folder(folder, folder, &mut own, &mut wrong);
        }
        let sources = sources(own);
        let mut scenarios = BTreeMap::new();
        let mut known = BTreeMap::new();
        for source in &sources {
            let case = source.digest();
            digest(&mut hasher, &source.id, &case);
            match source.scenario(&library) {
                Ok(mut scenario) => {
                    scenario.digest = case;
                    share(&mut scenario.control, &mut known);
                    scenarios.insert(source.id.clone(), scenario);
                }
                Err(diagnostics) => wrong.extend(diagnostics),
            }
        }
        if wrong.is_empty() {
            unknown_causes(&scenarios, &mut wrong);
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let digest = hexadecimal(&hasher.finalize());
        Ok(Catalogue { scenarios, reach, plain, requirements, documents, digest })
    }

    /// What `lint` needs to check a file that stands alone.
    pub fn library(&self, flaws: &BTreeSet<String>) -> Library {
        // They were read without a mistake for the catalogue, which does not keep them: its scenarios have what they take from them.
        let flows = embedded::FLOWS.iter().filter_map(|file| file.read::<FlowFile>("flows").ok());
        Library {
            flows: flows.map(|flow| (flow.flow.value.clone(), flow)).collect(),
            requirements: self.requirements.keys().cloned().collect(),
            flaws: flaws.clone(),
            ..Library::default()
        }
    }
}

/// Where a scenario comes from.
struct Source {
    id: String,
    from: From,
}

enum From {
    Embedded(&'static Embedded),
    /// A file's path and its text.
    File(String, String),
}

impl Source {
    fn digest(&self) -> String {
        match &self.from {
            From::Embedded(file) => file.digest.to_owned(),
            From::File(_, text) => case_digest(text),
        }
    }

    fn scenario(&self, library: &Library) -> Result<Scenario, Vec<Diagnostic>> {
        match &self.from {
            From::Embedded(file) => file.scenario(library),
            From::File(file, text) => resolve::scenario(file, text, Some(&self.id), library),
        }
    }
}

/// The embedded scenarios and the own ones, which override them, in the order of their ids.
fn sources(own: BTreeMap<String, (String, String)>) -> Vec<Source> {
    let embedded = embedded::SCENARIOS.iter().map(|file| (id_of(file.path), From::Embedded(file)));
    let own = own.into_iter().map(|(id, (file, text))| (id, From::File(file, text)));
    let all: BTreeMap<String, From> = embedded.chain(own).collect();
    all.into_iter().map(|(id, from)| Source { id, from }).collect()
}

/// Controls whose steps are the same share them, or at least what they send: most of a catalogue is that.
fn share(control: &mut Control, known: &mut BTreeMap<String, Vec<Arc<PlannedStep>>>) {
    for step in &mut control.steps {
        let same_name = known.entry(step.name.clone()).or_default();
        if let Some(same) = same_name.iter().find(|known| *known == step) {
            *step = Arc::clone(same);
            continue;
        }
        if let Some(same) = same_name.iter().find(|known| known.parameters == step.parameters) {
            Arc::make_mut(step).parameters = Arc::clone(&same.parameters);
        }
        same_name.push(Arc::clone(step));
    }
}

fn id_of(path: &str) -> String {
    path.trim_end_matches(".yaml").to_owned()
}

fn digest(hasher: &mut Sha256, path: &str, digest: &str) {
    hasher.update(path.as_bytes());
    hasher.update([0]);
    hasher.update(digest.as_bytes());
    hasher.update([0]);
}

/// As the build script makes it for embedded files: over what the file says, not over how it is laid out.
fn case_digest(text: &str) -> String {
    let json = serde_yaml::from_str::<serde_json::Value>(text).map(|value| value.to_string());
    hexadecimal(&Sha256::digest(json.as_deref().unwrap_or(text)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

type Documents = BTreeMap<String, (String, String)>;

fn requirements(hasher: &mut Sha256, wrong: &mut Vec<Diagnostic>) -> (BTreeMap<String, Requirement>, Documents) {
    let (mut all, mut documents) = (BTreeMap::new(), BTreeMap::new());
    for file in embedded::STANDARDS {
        digest(hasher, file.path, file.digest);
        match file.read::<StandardFile>("standards") {
            Ok(standard) => {
                for requirement in standard.requirements {
                    let entry = Requirement {
                        document: standard.document.value.clone(),
                        why_not: requirement.why_not.map(|why| why.value),
                        asks: requirement.asks.value,
                        link: requirement.link.value,
                        keyword: requirement.keyword,
                        binds: requirement.binds,
                    };
                    let id = requirement.id;
                    if all.contains_key(&id.value) {
                        wrong.push(Diagnostic {
                            file: file.path.to_owned(),
                            line: id.line,
                            column: id.column,
                            source: None,
                            message: format!("the requirement `{}` stands twice", id.value),
                            help: Some("give the second one a letter: `RFC9700#2.6-b`".into()),
                        });
                    }
                    all.insert(id.value, entry);
                }
                documents.insert(standard.document.value, (standard.title.value, standard.link.value));
            }
            Err(diagnostics) => wrong.extend(diagnostics),
        }
    }
    (all, documents)
}

fn read_folder(root: &Path, folder: &Path, files: &mut BTreeMap<String, (String, String)>, wrong: &mut Vec<Diagnostic>) {
    let unreadable = |path: &Path, error: &std::io::Error| Diagnostic {
        file: path.display().to_string(),
        line: 0,
        column: 0,
        source: None,
        message: format!("cannot be read: {error}"),
        help: Some("give a directory with files <group>/<name>.yaml".into()),
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return wrong.push(unreadable(folder, &error)),
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_folder(root, &path, files, wrong);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let inside = path.strip_prefix(root).unwrap_or(&path).with_extension("");
                    files.insert(inside.to_string_lossy().replace('\\', "/"), (path.display().to_string(), text));
                }
                Err(error) => wrong.push(unreadable(&path, &error)),
            }
        }
    }
}

/// `implied_by` must name an entry, or one of its attacks.
fn unknown_causes(scenarios: &BTreeMap<String, Scenario>, wrong: &mut Vec<Diagnostic>) {
    let mut known: BTreeSet<String> = scenarios.keys().cloned().collect();
    for scenario in scenarios.values() {
        known.extend(scenario.attacks.iter().map(|a| format!("{}/{}", scenario.id, a.id)));
    }
    for scenario in scenarios.values() {
        for cause in scenario.attacks.iter().flat_map(|a| &a.implied_by) {
            if !known.contains(cause) {
                wrong.push(Diagnostic {
                    file: scenario.file.clone(),
                    line: 0,
                    column: 0,
                    source: None,
                    message: format!("implied_by names `{cause}`, which is no scenario and no attack"),
                    help: suggestion(cause, known.iter().map(String::as_str)).filter(|s| s.starts_with("did you")),
                });
            }
        }
    }
}

/// What to run: every condition that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Globs over ids (`pkce/*`), groups (`pkce`), `severity:high`, `standard:RFC9700` or `card`; none: all.
    pub include: Vec<String>,
    /// The same, left out.
    pub exclude: Vec<String>,
    pub min_severity: Option<Severity>,
    pub profile: Option<Profile>,
}

impl Selection {
    /// # Errors
    /// A pattern that matches nothing of all scenarios, with what is near, or nothing that the profile asks for: who names it would take a
    /// report that says nothing of it for a passed one.
    pub fn check<'c, S: Choosable + 'c>(&self, all: impl Iterator<Item = &'c S> + Clone) -> Result<(), String> {
        for pattern in self.include.iter().chain(&self.exclude) {
            if !all.clone().any(|s| matches(pattern, s.head())) {
                let ids = all.clone().map(|s| s.head().id).chain(all.clone().map(|s| s.head().group()));
                let help = suggestion(pattern, ids).filter(|s| s.starts_with("did you")).unwrap_or_else(|| "see `grantproof list`".into());
                return Err(format!("`{pattern}` selects nothing; {help}"));
            }
        }
        let Some(profile) = self.profile else { return Ok(()) };
        for pattern in &self.include {
            let matching = || all.clone().map(Choosable::head).filter(|head| matches(pattern, *head));
            if matching().all(|head| head.level_in(profile).is_none()) {
                let others = Profile::ALL.iter().filter(|other| matching().any(|head| head.level_in(**other).is_some()));
                let others: Vec<&str> = others.map(|other| other.name()).collect();
                let (name, others) = (profile.name(), others.join(" or "));
                return Err(format!("`{pattern}` selects nothing in the profile {name}; run it with `--profile` {others}"));
            }
        }
        Ok(())
    }

    pub fn takes(&self, scenario: &impl Choosable) -> bool {
        let head = scenario.head();
        (self.include.is_empty() || self.include.iter().any(|p| matches(p, head)))
            && !self.exclude.iter().any(|p| matches(p, head))
            && self.min_severity.is_none_or(|least| head.severity >= least)
            && self.profile.is_none_or(|profile| head.level_in(profile).is_some())
    }
}

fn matches(pattern: &str, head: Head<'_>) -> bool {
    if let Some(severity) = pattern.strip_prefix("severity:") {
        return head.severity.name() == severity;
    }
    if let Some(standard) = pattern.strip_prefix("standard:") {
        return head.basis.iter().any(|b| b == standard || b.split('#').next() == Some(standard));
    }
    if pattern == "card" {
        return head.card;
    }
    pattern.strip_suffix('/').unwrap_or(pattern) == head.group() || glob(pattern, head.id)
}

/// `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).filter(|i| rest.is_char_boundary(*i)).any(|i| glob(after, &rest[i..]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quick way and the text say the same: else a start would fall back to the text, or read something else.
    #[test]
    fn what_was_built_in_is_what_the_files_say() {
        let flaws = crate::lab::Flaw::ALL.iter().map(|f| f.name().to_owned()).collect();
        let catalogue = Catalogue::load(None, &flaws).unwrap_or_else(|d| panic!("{}", d[0]));
        let library = catalogue.library(&flaws);
        for file in embedded::SCENARIOS {
            let read = serde_json::from_str::<ScenarioFile>(file.json).unwrap_or_else(|e| panic!("{}: {e}", file.path));
            let (name, id) = (format!("scenarios/{}", file.path), id_of(file.path));
            let quick = resolve::checked(&read, &name, file.text, Some(&id), &library).unwrap_or_else(|d| panic!("{}", d[0]));
            let slow = resolve::scenario(&name, file.text, Some(&id), &library).unwrap_or_else(|d| panic!("{}", d[0]));
            assert_eq!(format!("{quick:?}"), format!("{slow:?}"));
        }
        let outlines: Vec<Outline> = catalogue.scenarios.values().map(Outline::from).collect();
        assert_eq!(super::outlines(), Some(outlines));
        for file in embedded::FLOWS {
            serde_json::from_str::<FlowFile>(file.json).unwrap_or_else(|e| panic!("{}: {e}", file.path));
        }
        for file in embedded::STANDARDS {
            serde_json::from_str::<StandardFile>(file.json).unwrap_or_else(|e| panic!("{}: {e}", file.path));
        }
    }

    #[test]
    fn globs() {
        assert!(glob("pkce/*", "pkce/plain-method"));
        assert!(glob("*verifier*", "pkce/wrong-verifier"));
        assert!(!glob("pkce", "pkce/plain-method"));
        assert!(glob("*", ""));
    }
}
