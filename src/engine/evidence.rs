//! What is kept of a login that failed in Chromium: a picture, and the page as it was.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::RunningTrial;
use super::browser::Browser;

/// Each is looked at by a person; the first ones tell.
const MOST_PICTURES: u32 = 10;

/// Writes both, without secrets, and says where they are. None: they are not asked for, cannot be written, or are too
/// many.
pub fn keep(trial: &RunningTrial<'_>, browser: &Browser, page: &str, picture: &[u8]) -> Option<String> {
    let folder = trial.engine.evidence.as_deref()?;
    let number = trial.engine.pictures.fetch_add(1, Ordering::SeqCst) + 1;
    if number > MOST_PICTURES {
        return None;
    }
    let redactor = &trial.redactor;
    for cookie in browser.secrets() {
        redactor.learn("cookie", cookie);
    }
    let write = |kind: &str, bytes: &[u8]| {
        let path = folder.join(format!("login-{number}.{kind}"));
        std::fs::write(&path, bytes).map(|()| path)
    };
    std::fs::create_dir_all(folder).ok()?;
    let image = write("png", picture).ok()?;
    let html = write("html", redactor.text(page).as_bytes()).ok()?;
    let shown = |path: &Path| path.display().to_string();
    Some(format!("{}, {}", shown(&image), shown(&html)))
}
