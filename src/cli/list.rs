//! `list`: what there is to run.

use serde_json::json;

use super::args::List;
use super::{Failure, inputs, print};

/// # Errors
/// Wrong scenario files, or a selection that selects nothing.
pub fn list(arguments: &List) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(arguments.choose.scenarios.as_deref())?;
    let selected = inputs::selected(&catalogue, &arguments.choose)?;
    let profile = arguments.choose.profile;
    let text = if arguments.json {
        let entries: Vec<_> = selected
            .iter()
            .map(|s| {
                json!({
                    "id": s.id, "title": s.title, "severity": s.severity, "level": s.level_in(profile), "risk": s.risk,
                    "basis": s.basis, "attacks": s.attacks.iter().map(|a| &a.id).collect::<Vec<_>>(),
                })
            })
            .collect();
        serde_json::to_string_pretty(&entries).map_err(|e| Failure::input(e.to_string()))? + "\n"
    } else {
        let width = selected.iter().map(|s| s.id.len()).max().unwrap_or(0);
        let lines: Vec<String> = selected
            .iter()
            .map(|s| {
                let level = s.level_in(profile).map_or("-", |l| l.name());
                format!("{:width$}  {:8}  {:6}  {}", s.id, s.severity.name(), level, s.title)
            })
            .collect();
        format!("{}\n{} scenarios in the profile {}\n", lines.join("\n"), selected.len(), profile.name())
    };
    print(&text)?;
    Ok(0)
}
