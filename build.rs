//! Embeds the data files (scenarios, flows, standards), so that the program needs none beside it and the compiler tracks
//! each of them. Beside its text, each file stands there as JSON: reading that at every start costs a small part of
//! what reading YAML with places does. A file that is no YAML has no JSON; the program then reads the text and says what is
//! wrong with it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest as _, Sha256};

/// What stands beside the scenarios: which known attacks are none, which other tools try the same, and settings of products.
const BESIDE: [(&str, &str); 3] =
    [("NOT_TESTED", "scenarios/NOT-TESTED.yaml"), ("PEERS", "scenarios/PEERS.yaml"), ("SETTINGS", "scenarios/SETTINGS.yaml")];

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let mut code = String::new();
    let beside = BESIDE.map(|(name, path)| (name, Path::new(&root).join(path)));
    for (name, path) in &beside {
        writeln!(code, "pub const {name}: &str = include_str!({:?});", path.to_string_lossy()).map_err(io::Error::other)?;
    }
    for (name, folder) in [("SCENARIOS", "scenarios"), ("FLOWS", "flows"), ("STANDARDS", "standards")] {
        println!("cargo:rerun-if-changed={folder}");
        let mut files = Vec::new();
        let folder = Path::new(&root).join(folder);
        if folder.is_dir() {
            list(&folder, "yaml", &mut files)?;
        }
        files.retain(|file| beside.iter().all(|(_, path)| file != path));
        files.sort();
        writeln!(code, "pub const {name}: &[Embedded] = &[").map_err(io::Error::other)?;
        for file in files {
            let inside = file.strip_prefix(&folder).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
            let text = fs::read_to_string(&file)?;
            let json = serde_yaml::from_str::<serde_json::Value>(&text).map(|v| v.to_string()).unwrap_or_default();
            let digest = hexadecimal(Sha256::digest(if json.is_empty() { &text } else { &json }));
            let text = file.to_string_lossy();
            writeln!(code, "    Embedded {{ path: {inside:?}, text: include_str!({text:?}), json: {json:?}, digest: {digest:?} }},")
                .map_err(io::Error::other)?;
        }
        code.push_str("];\n");
    }
    writeln!(code, "pub const SOURCE_DIGEST: &str = {:?};", sources(Path::new(&root))?).map_err(io::Error::other)?;
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("embedded.rs"), code)
}

/// SHA-256 over the sources and the locked dependencies: a report says with which program it was made.
fn sources(root: &Path) -> io::Result<String> {
    let mut files: Vec<PathBuf> = ["Cargo.toml", "Cargo.lock", "build.rs"].iter().map(|name| root.join(name)).collect();
    list(&root.join("src"), "rs", &mut files)?;
    files.sort();
    let mut hasher = Sha256::new();
    for file in files.iter().filter(|file| file.is_file()) {
        println!("cargo:rerun-if-changed={}", file.display());
        let inside = file.strip_prefix(root).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
        hasher.update(inside.as_bytes());
        hasher.update([0]);
        hasher.update(fs::read(file)?);
        hasher.update([0]);
    }
    Ok(hexadecimal(hasher.finalize()))
}

fn hexadecimal(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, extension, files)?;
        } else if path.extension().is_some_and(|e| e == extension) {
            files.push(path);
        }
    }
    Ok(())
}
