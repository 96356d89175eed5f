//! `keygen`: a key that signs reports.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::report::{gate, signing};

use super::args::Keygen;
use super::{Failure, print};

/// # Errors
/// A file that is there already (2), or cannot be written (5).
pub fn keygen(arguments: &Keygen) -> Result<u8, Failure> {
    let file = |extension: &str| {
        let mut name = arguments.name.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let (private, public) = signing::generate().map_err(|message| Failure { code: gate::INTERNAL, message })?;
    write_new(&file(".key"), &private, true)?;
    write_new(&file(".pub"), &public, false)?;
    let (key, public) = (file(".key"), file(".pub"));
    print(&format!(
        "{}  the private key: keep it where only the job that signs can read it\n{}  the public key: give it to those who verify, by another way than the reports\n\n  grantproof run … --sign-key {} --report json=report.json\n  grantproof verify report.json --key {}\n",
        key.display(),
        public.display(),
        key.display(),
        public.display()
    ))?;
    Ok(0)
}

/// Never writes over a key: what it signed could not be made again.
fn write_new(path: &Path, text: &str, secret: bool) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| {
        if e.kind() == std::io::ErrorKind::AlreadyExists {
            return Failure::input(format!(
                "error: {} is there already\n  = help: choose another name; keys are never written over",
                path.display()
            ));
        }
        Failure { code: gate::NOT_WRITTEN, message: format!("fatal: {} cannot be written: {e}", path.display()) }
    })
}
