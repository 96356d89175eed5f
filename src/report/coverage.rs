//! What the standards ask for, and which scenarios try it: stored in the report, so that it can be read from the file alone.

use std::collections::BTreeMap;

use crate::model::report::{Requirement, Standard};
use crate::scenario::catalogue::Catalogue;

/// Every requirement of every document, in the order of the documents' names and the requirements' ids.
pub fn standards(catalogue: &Catalogue) -> Vec<Standard> {
    let mut cited: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for scenario in catalogue.scenarios.values() {
        for id in &scenario.basis {
            cited.entry(id).or_default().push(scenario.id.clone());
        }
    }
    let mut standards: Vec<Standard> = catalogue
        .documents
        .iter()
        .map(|(document, (title, link))| Standard {
            document: document.clone(),
            title: title.clone(),
            link: link.clone(),
            requirements: Vec::new(),
        })
        .collect();
    for (id, requirement) in &catalogue.requirements {
        if let Some(standard) = standards.iter_mut().find(|s| s.document == requirement.document) {
            standard.requirements.push(Requirement {
                id: id.clone(),
                keyword: requirement.keyword.name().to_owned(),
                asks: requirement.asks.trim().to_owned(),
                link: requirement.link.clone(),
                scenarios: cited.remove(id.as_str()).unwrap_or_default(),
                why_not: requirement.why_not.clone(),
            });
        }
    }
    standards
}
