//! The pages of the scenarios are those of their files.

use std::path::Path;

#[test]
fn no_page_is_stale() {
    let catalogue = grantproof::cli::inputs::catalogue(None).unwrap_or_else(|e| panic!("{}", e.message));
    let pages = grantproof::cli::docs::pages(&catalogue).unwrap_or_else(|e| panic!("{}", e.message));
    assert_eq!(pages.len(), catalogue.scenarios.len() + 1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scenarios");
    let stale = grantproof::cli::docs::stale(&folder, &pages);
    assert!(stale.is_empty(), "write them anew with `grantproof docs docs/scenarios`: {stale:?}");
    // What nobody made here is not taken away.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("notes")).expect("a folder");
    for (name, text) in [("mine.md", "# Mine"), ("old.md", "<!-- Made from scenarios/notes/old.yaml by `grantproof docs`. -->")] {
        std::fs::write(folder.path().join("notes").join(name), text).expect("a file");
    }
    let stale = grantproof::cli::docs::stale(folder.path(), &pages);
    assert!(stale.contains("notes/old.md") && !stale.contains("notes/mine.md"));
    // Each link between pages leads somewhere.
    for (path, text) in &pages {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let inside = link.strip_prefix("../").unwrap_or(link);
            assert!(link.starts_with("https://") || link.starts_with('#') || pages.contains_key(inside), "{path} links to {link}");
        }
    }
}
