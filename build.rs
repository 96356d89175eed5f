//! Embeds the data files (scenarios, flows, standards), so that the program needs none beside it and the compiler tracks
//! each of them. Beside its text, each file stands there as JSON: reading that at every start costs a small part of
//! what reading YAML with places does. A file that is no YAML has no JSON; the program then reads the text and says what is
//! wrong with it.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let mut code = String::new();
    for (name, folder) in [("SCENARIOS", "scenarios"), ("FLOWS", "flows"), ("STANDARDS", "standards")] {
        println!("cargo:rerun-if-changed={folder}");
        let mut files = Vec::new();
        let folder = Path::new(&root).join(folder);
        if folder.is_dir() {
            list(&folder, &mut files)?;
        }
        files.sort();
        writeln!(code, "pub const {name}: &[Embedded] = &[").map_err(io::Error::other)?;
        for file in files {
            let inside = file.strip_prefix(&folder).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
            let json = serde_yaml::from_str::<serde_json::Value>(&fs::read_to_string(&file)?).map(|v| v.to_string()).unwrap_or_default();
            writeln!(code, "    Embedded {{ path: {inside:?}, text: include_str!({:?}), json: {json:?} }},", file.to_string_lossy())
                .map_err(io::Error::other)?;
        }
        code.push_str("];\n");
    }
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("embedded.rs"), code)
}

fn list(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}
