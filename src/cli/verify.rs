//! `verify`: whether a report is as it was made, and what that does and does not prove.

use std::fmt::Write as _;

use crate::report::integrity::{self, Checked, Signed};
use crate::report::safe::line as safe;
use crate::report::{gate, read, signing};

use super::args::Verify;
use super::{Failure, print};

/// # Errors
/// No report, or no key (2).
pub fn verify(arguments: &Verify) -> Result<u8, Failure> {
    let text = read::bytes(&arguments.file).map_err(Failure::input)?;
    let name = arguments.file.display().to_string();
    // What no reader of reports would take is not checked further.
    read::text(&name, &text).map_err(Failure::input)?;
    let key = match &arguments.key {
        Some(path) => {
            let wrong = |why: String| {
                Failure::input(format!("error: --key {}: {why}\n  = help: give the .pub file of `grantproof keygen`", path.display()))
            };
            let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
            Some(signing::public(&text).map_err(|e| wrong(e.to_owned()))?)
        }
        None => None,
    };
    let all = integrity::check(&text).map_err(|e| Failure::input(format!("error: {name}: {}", safe(&e.to_string()))))?;
    let signed_as_a_whole = all.len() > 1 && all.first().is_some_and(|whole| by_key(whole, key.as_deref()));
    let mut good = true;
    let mut out = String::new();
    for checked in &all {
        // The signature of a collection is over the digests of its reports.
        let by = signed_as_a_whole || by_key(checked, key.as_deref());
        good &= checked.is_whole() && by;
        tell(&mut out, checked, key.is_some() && !by);
    }
    meaning(&mut out, &all, key.is_some());
    print(&out)?;
    Ok(if good { gate::PASSED } else { gate::BROKEN })
}

fn by_key(checked: &Checked, key: Option<&str>) -> bool {
    key.is_none_or(|key| matches!(&checked.signature, Signed::By(by) if by == key))
}

fn tell(out: &mut String, checked: &Checked, not_by_key: bool) {
    let _ = writeln!(out, "{}", safe(&checked.name));
    match &checked.digest {
        Some(digest) if checked.changed.is_empty() => {
            let _ = writeln!(out, "  unchanged  sha256 {}", safe(digest));
        }
        Some(_) => {
            for what in &checked.changed {
                let _ = writeln!(out, "  CHANGED    {}", safe(what));
            }
        }
        None => {
            let _ = writeln!(out, "  NOT SHOWN  it has no digests: reports have them since schema 1.2");
        }
    }
    match &checked.signature {
        Signed::No => out.push_str("  not signed\n"),
        Signed::By(key) if checked.changed.is_empty() => {
            let _ = writeln!(out, "  signed by  {}", safe(key));
        }
        Signed::By(key) => {
            let _ = writeln!(out, "  the signature by {} is of the report as it was before", safe(key));
        }
        Signed::Wrong(key) => {
            let _ = writeln!(out, "  WRONG SIGNATURE  it names the key {}, and is not its signature of this report", safe(key));
        }
    }
    if not_by_key {
        out.push_str("  NOT SIGNED by the key that was given\n");
    }
}

fn meaning(out: &mut String, all: &[Checked], key_given: bool) {
    if all.iter().any(|c| !c.is_whole()) {
        out.push_str("\nThis is not the report that was made. Get it again from where it was made, and trust nothing in this file.\n");
        return;
    }
    let signed = all.iter().any(|c| matches!(c.signature, Signed::By(_)));
    out.push('\n');
    out.push_str(if signed {
        "A signature proves that the holder of the key made or took over this report, and that nobody without the key changed it since.\nIt does not prove when that was, that the run happened as told, or that the server is still the same.\n"
    } else {
        "Digests alone show what was changed by accident or by hand. Whoever changes the file on purpose can make new ones:\nagainst that, sign reports (`grantproof keygen`, `--sign-key`).\n"
    });
    if signed && !key_given {
        out.push_str(
            "Whose key it is, this program cannot know: compare it with the one that you were given by another way, or use --key.\n",
        );
    }
}
