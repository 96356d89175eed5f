//! Lists the embedded data files (scenarios, flows, standards), so that the program needs none beside it and the
//! compiler tracks each of them.

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
        writeln!(code, "pub const {name}: &[(&str, &str)] = &[").map_err(io::Error::other)?;
        for file in files {
            let inside = file.strip_prefix(&folder).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
            writeln!(code, "    ({inside:?}, include_str!({:?})),", file.to_string_lossy()).map_err(io::Error::other)?;
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
