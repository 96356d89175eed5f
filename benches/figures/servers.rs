//! Servers to measure against, each a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use grantproof::target::Target;

use crate::{Failed, PROGRAM};

/// The lab as a process of its own, and a target file for it. Its assertion client is left out: it keeps its key.
pub struct OutsideLab {
    child: Child,
    pub file: PathBuf,
}

impl OutsideLab {
    pub fn start(folder: &Path) -> Result<OutsideLab, Failed> {
        let mut child = Command::new(PROGRAM).args(["lab", "--port", "0"]).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut lab = OutsideLab { child, file: folder.join("target.yaml") };
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let first = lines.next().ok_or("the lab says nothing")?;
        let issuer = first.split_whitespace().find(|w| w.starts_with("http")).ok_or("the lab names no address")?.to_owned();
        let (mut users, mut clients) = (Vec::new(), Vec::new());
        for line in lines {
            if let Some((name, password)) = line.strip_prefix("user").and_then(|l| l.trim().split_once(" / ")) {
                users.push(format!("{{name: {name}, password: \"plain:{password}\"}}"));
            } else if let Some((id, rest)) = line.strip_prefix("client").and_then(|l| l.trim().split_once(" (")) {
                let redirect = rest.rsplit(' ').next().unwrap_or_default();
                let secret =
                    rest.split_once("secret ").and_then(|(_, s)| s.split_once(')')).map(|(s, _)| format!(", secret: \"plain:{s}\""));
                clients.push((id.to_owned(), format!("{{id: {id}, redirect_uri: \"{redirect}\"{}}}", secret.unwrap_or_default())));
                // The last line.
                if id.ends_with("assertion") {
                    break;
                }
            }
        }
        let client = |role: &str| clients.iter().find(|(id, _)| id.ends_with(role)).map_or("", |(_, text)| text);
        let text = format!(
            "name: the lab outside\nissuer: {issuer}\nscope: openid profile\nextra_scope: email\nresource: {issuer}/api/me\n\
             refresh_grace: 0s\ncode_grace: 0s\nclients:\n  public: {}\n  second: {}\n  confidential: {}\n\
             users:\n  default: {}\n  other: {}\nlimits: {{in_flight: 4}}\n",
            client("public"),
            client("second"),
            client("confidential"),
            users.first().ok_or("the lab has no user")?,
            users.get(1).ok_or("the lab has one user")?,
        );
        std::fs::write(&lab.file, text)?;
        match lab.child.try_wait()? {
            None => Ok(lab),
            Some(status) => Err(format!("the lab ended: {status}").into()),
        }
    }
}

impl Drop for OutsideLab {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// oidc-provider as its interop test starts it (tests/interop/README.md).
pub struct Provider {
    child: Child,
    url: String,
    key: PathBuf,
}

impl Provider {
    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/oidc-provider")
    }

    pub fn start(scratch: &Path) -> Result<Provider, Failed> {
        if !Command::new("node").arg("--version").output().is_ok_and(|o| o.status.success()) {
            return Err("there is no Node.js on this machine".into());
        }
        let key = scratch.join("client-key.pem");
        let mut child = Command::new("bash")
            .arg(Self::folder().join("start.sh"))
            .env("MODE", "default")
            .env("PORT", "0")
            .env("CLIENT_KEY_FILE", &key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        match BufReader::new(stdout).lines().next() {
            Some(Ok(line)) if line.starts_with("ready ") => Ok(Provider { child, url: line["ready ".len()..].to_owned(), key }),
            _ => {
                let _ = child.wait();
                Err("it could not be installed or did not start (run its start.sh by hand to see why)".into())
            }
        }
    }

    pub fn target(&self) -> Result<Target, Failed> {
        let port = self.url.rsplit(':').next().ok_or("no port")?;
        let text = std::fs::read_to_string(Self::folder().join("default.yaml"))?;
        let text = text.replace("@PORT@", port).replace("@KEY@", &self.key.display().to_string());
        let folder = self.key.parent().ok_or("no folder")?;
        grantproof::target::load::from_text("target.yaml", &text, folder).map_err(|d| d[0].to_string().into())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
