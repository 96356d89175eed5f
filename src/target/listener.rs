//! Where a run listens for requests of the server: an address of ours that the target file says the server can reach.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::diagnostic::Diagnostics;

use super::file::ListenerFile;

/// What stands for the port in the address that the server is given.
const PORT: &str = "{port}";

/// How long a request is waited for where the target file does not say.
const WAIT: Duration = Duration::from_secs(10);

/// A listener, not yet bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The local address; the port 0 takes a free one.
    pub listen: SocketAddr,
    /// How the server reaches it, `{port}` for the port; None: as we do, on loopback.
    pub url: Option<String>,
    /// How long a request of the server is waited for.
    pub wait: Duration,
    /// Somebody has seen the server fetch from this address.
    pub proven: bool,
}

impl Listener {
    /// A free port on loopback, for a server on this machine.
    pub fn on_loopback() -> Listener {
        Listener { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), url: None, wait: WAIT, proven: false }
    }

    /// The base of the addresses that the server is given, without a slash at its end, once the port is known.
    pub fn base(&self, bound: SocketAddr) -> String {
        match &self.url {
            Some(url) => url.replace(PORT, &bound.port().to_string()).trim_end_matches('/').to_owned(),
            None => format!("http://{bound}"),
        }
    }
}

/// Reads the section of a target file.
pub(super) fn listener(file: &ListenerFile, found: &mut Diagnostics) -> Option<Listener> {
    let wait = file.wait.as_ref().map_or(Some(WAIT), |_| super::load::duration(&file.wait, found));
    let Ok(listen) = file.listen.value.parse::<SocketAddr>() else {
        found.at(
            &file.listen,
            format!("`{}` is no address to listen on", file.listen.value),
            Some("write an IP address of this machine and a port: `127.0.0.1:0`, `0.0.0.0:8900`".into()),
        );
        return None;
    };
    match &file.url {
        None if !listen.ip().is_loopback() => {
            found.at(
                &file.listen,
                format!("how the server reaches `{listen}` is not said"),
                Some("add `url: https://…`, the address under which the server finds this machine".into()),
            );
            return None;
        }
        None => {}
        Some(url) => {
            let written = url.value.replace(PORT, "1");
            let is_plain = |url: &url::Url| {
                matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() && url.username().is_empty()
            };
            if !url::Url::parse(&written).is_ok_and(|url| is_plain(&url)) {
                found.at(
                    url,
                    format!("`{}` is no http or https URL without query and fragment", url.value),
                    Some("write `https://callbacks.example`, and `{port}` where the port stands".into()),
                );
                return None;
            }
        }
    }
    Some(Listener { listen, url: file.url.as_ref().map(|url| url.value.clone()), wait: wait?, proven: file.proven })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Result<Option<Listener>, Vec<String>> {
        let text = format!(
            "name: x\nissuer: http://127.0.0.1:1\nclients: {{public: {{id: a, redirect_uri: \"http://127.0.0.1/cb\"}}}}\nusers: {{default: {{name: a, password: \"plain:b\"}}}}\n{section}"
        );
        crate::target::load::from_text("t.yaml", &text, std::path::Path::new("."))
            .map(|target| target.listener)
            .map_err(|list| list.iter().map(|d| format!("{}:{} {}", d.line, d.column, d.message)).collect())
    }

    #[test]
    fn a_section_is_read() {
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("listener: {listen: \"127.0.0.1:0\"}"), Ok(Some(Listener::on_loopback())));
        let far = read("listener: {listen: \"0.0.0.0:8900\", url: \"https://gp.example/{port}/\", wait: 3s, proven: true}");
        let far = far.expect("it is right").expect("it is there");
        assert_eq!((far.wait, far.proven), (Duration::from_secs(3), true));
        assert_eq!(far.base(SocketAddr::from(([0, 0, 0, 0], 8900))), "https://gp.example/8900");
        assert_eq!(Listener::on_loopback().base(SocketAddr::from(([127, 0, 0, 1], 5))), "http://127.0.0.1:5");
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (section, wrong) in [
            ("listener: {listen: here}", "5:20 `here` is no address to listen on"),
            ("listener: {listen: \"0.0.0.0:0\"}", "5:20 how the server reaches `0.0.0.0:0` is not said"),
            ("listener: {listen: \"127.0.0.1:0\", url: callbacks}", "5:40 `callbacks` is no http or https URL without query and fragment"),
            ("listener: {listen: \"127.0.0.1:0\", wait: long}", "5:41 `long` is no duration"),
        ] {
            assert_eq!(read(section), Err(vec![wrong.to_owned()]), "{section}");
        }
    }
}
