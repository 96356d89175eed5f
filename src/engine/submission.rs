//! Forms and addresses as a browser sends them.

use url::Url;

use crate::wire;

use super::http::Request;

/// The site whose page sends a form that is none of the server's.
pub const OTHER_SITE: &str = "https://evil.example";

/// An address on a page, as a browser resolves it.
pub fn resolve(base: &str, address: &str) -> Option<Url> {
    match Url::parse(address) {
        Ok(url) => Some(url),
        Err(_) => Url::parse(base).ok()?.join(address).ok(),
    }
}

/// Where a page stands.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its own address.
    pub url: String,
    /// What the addresses on it are relative to: another one where it has a `<base href>`.
    base: String,
}

impl Document {
    /// The page at `url` with this `<base href>`, if any.
    pub fn new(url: &str, base: Option<&str>) -> Document {
        let base = base.and_then(|base| resolve(url, base)).map_or_else(|| url.to_owned(), |base| base.to_string());
        Document { url: url.to_owned(), base }
    }

    /// An address on the page.
    pub fn resolve(&self, address: &str) -> Option<Url> {
        resolve(&self.base, address)
    }

    /// Where a form of the page goes: its action, or the page itself where it has none, wherever its addresses lead.
    pub fn action(&self, action: &str) -> Option<Url> {
        if action.is_empty() { Url::parse(&self.url).ok() } else { self.resolve(action) }
    }
}

/// A form that was filled in on the page at `from`: its pairs in the body, with where it comes from, or in the query.
pub fn request<T: AsRef<str>>(method: &str, mut url: Url, pairs: &[(T, T)], from: &str) -> Request {
    let joined = wire::form(pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref(), false)));
    if method == "POST" {
        let mut request = post(url.as_str(), &joined);
        request.headers.extend(origin(from).map(|origin| ("origin".to_owned(), origin)));
        request.headers.push(("referer".into(), from.to_owned()));
        return request;
    }
    url.set_query(None);
    Request { method: "GET".into(), url: wire::with_query(url.as_str(), &joined), ..Request::default() }
}

/// A body of pairs sent by POST, and nothing else.
pub fn post(url: &str, body: &str) -> Request {
    Request {
        method: "POST".into(),
        url: url.to_owned(),
        headers: vec![("content-type".into(), "application/x-www-form-urlencoded".into())],
        body: Some(body.as_bytes().to_vec()),
        ..Request::default()
    }
}

/// The origin of a page as browsers write it: without a default port (RFC 6454 §6.2). None for what is no http URL.
pub fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_says_where_it_comes_from() {
        let page = |base: Option<&str>| Document::new("https://as.example/login?x=1", base);
        let url = || page(None).action("/do?old=1").expect("an address");
        let sent = request("POST", url(), &[("a", "b c")], "https://as.example:443/login?x=1");
        let header = |name: &str| sent.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        assert_eq!((header("origin"), header("referer")), (Some("https://as.example"), Some("https://as.example:443/login?x=1")));
        assert_eq!((sent.url.as_str(), sent.body.as_deref()), ("https://as.example/do?old=1", Some(&b"a=b%20c"[..])));
        let asked = request("GET", url(), &[("a", "b")], "https://as.example/login");
        assert_eq!((asked.url.as_str(), asked.body), ("https://as.example/do?a=b", None));
        assert_eq!(origin("http://127.0.0.1:8080/x").as_deref(), Some("http://127.0.0.1:8080"));
        // The addresses of a page lead from its base, a form without one to the page itself.
        for base in [None, Some("/app/")] {
            assert_eq!(page(base).action("").map(|url| url.to_string()).as_deref(), Some("https://as.example/login?x=1"));
        }
        assert_eq!(page(Some("/app/")).action("do").map(|url| url.to_string()).as_deref(), Some("https://as.example/app/do"));
    }
}
