//! A simulated browser: cookies as browsers keep them, one jar for each session.

use cookie_store::{CookieDomain, CookieStore};
use url::Url;

use super::http::{Failure, Http, Request, Response};

/// One actor's browser. A clone starts with the same cookies and goes its own way.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    jar: CookieStore,
    /// What it calls itself, where that is not our own name.
    pub agent: Option<String>,
}

/// A cookie as one browser hands it to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    pub host: String,
    pub with_subdomains: bool,
    pub path: String,
    pub secure: bool,
    pub http_only: bool,
    /// `Strict`, `Lax` or `None`, where it says one.
    pub same_site: Option<&'static str>,
}

impl Cookie {
    /// Whether browsers of today keep it: one for other sites as well must be Secure.
    pub fn is_kept_by_browsers(&self) -> bool {
        self.secure || self.same_site != Some("None")
    }
}

/// The word of the attribute SameSite that this is.
pub fn same_site(said: &str) -> Option<&'static str> {
    ["Strict", "Lax", "None"].into_iter().find(|word| *word == said)
}

impl Browser {
    /// One in which nobody has been anywhere, for a session of this name.
    pub fn empty(session: &str) -> Browser {
        let agent = (session == super::ATTACKER).then(|| super::ATTACKERS_AGENT.to_owned());
        Browser { agent, ..Browser::default() }
    }

    /// The Cookie header for a URL: sorted by path length and name, so that a run repeats itself. Cookies marked Secure
    /// go back on loopback, as browsers do.
    pub fn cookies(&self, url: &Url) -> Option<String> {
        let mut pairs: Vec<(usize, &str, &str)> =
            self.jar.matches(url).into_iter().map(|cookie| (cookie.path().unwrap_or("/").len(), cookie.name(), cookie.value())).collect();
        pairs.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let text: Vec<String> = pairs.iter().map(|(_, name, value)| format!("{name}={value}")).collect();
        (!text.is_empty()).then(|| text.join("; "))
    }

    /// Navigates: sends the request with the headers of a browser and keeps the cookies of the answer. Nothing is
    /// followed. `is_from_elsewhere`: a page of another site sends a form, and cookies that stay at home do not go along with a POST.
    ///
    /// # Errors
    /// Why no answer came.
    pub async fn navigate(
        &mut self,
        http: &Http,
        request: Request,
        is_from_elsewhere: bool,
    ) -> Result<(Request, Response), (Request, Failure)> {
        let url = Url::parse(&request.url).ok();
        let cookies =
            url.as_ref().and_then(|url| if is_from_elsewhere { self.without_same_site().cookies(url) } else { self.cookies(url) });
        self.send(http, request, url, cookies).await
    }

    async fn send(
        &mut self,
        http: &Http,
        mut request: Request,
        url: Option<Url>,
        cookies: Option<String>,
    ) -> Result<(Request, Response), (Request, Failure)> {
        request.headers.push(("accept".into(), "text/html,application/xhtml+xml,*/*;q=0.8".into()));
        request.headers.push(("user-agent".into(), self.agent.clone().unwrap_or_else(|| super::USER_AGENT.into())));
        if let Some(site) = url.as_ref().and_then(|url| site_of(&request, url)) {
            let fetch =
                [("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-user", "?1"), ("sec-fetch-dest", "document")];
            request.headers.extend(fetch.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        if let Some(cookies) = cookies {
            request.headers.push(("cookie".into(), cookies));
        }
        match http.send_to(&request, url.as_ref()).await {
            Ok(response) => {
                if let Some(url) = &url {
                    for cookie in response.all("set-cookie") {
                        // A cookie that a browser would refuse is no error of ours.
                        let _ = self.jar.parse(cookie, url);
                    }
                }
                Ok((request, response))
            }
            Err(failure) => Err((request, failure)),
        }
    }

    /// The same without the cookies that a request which another site makes goes without: those that say `SameSite=Lax` or `Strict`.
    fn without_same_site(&self) -> Browser {
        let mut other = self.clone();
        for cookie in self.jar.iter_any().filter(|cookie| cookie.same_site().is_some_and(|same_site| !same_site.is_none())) {
            if let CookieDomain::HostOnly(domain) | CookieDomain::Suffix(domain) = &cookie.domain {
                other.jar.remove(domain, &cookie.path, cookie.name());
            }
        }
        other
    }

    /// Nobody has been anywhere with this browser.
    pub fn is_empty(&self) -> bool {
        self.jar.iter_any().next().is_none()
    }

    /// Takes the cookies of a session that was made elsewhere, written as in a Cookie header, for these origins.
    pub fn hand_in<'o>(&mut self, cookies: &str, origins: impl Iterator<Item = &'o String>) {
        for url in origins.filter_map(|origin| Url::parse(origin).ok()) {
            for pair in cookies.split(';').map(str::trim).filter(|pair| pair.contains('=')) {
                // A pair that is no cookie is left out, as a browser would.
                let _ = self.jar.parse(&format!("{pair}; Path=/"), &url);
            }
        }
    }

    /// Its cookies, for another browser.
    pub fn kept(&self) -> Vec<Cookie> {
        let kept = self.jar.iter_unexpired().filter_map(|cookie| {
            let (host, with_subdomains) = match &cookie.domain {
                CookieDomain::HostOnly(host) => (host, false),
                CookieDomain::Suffix(host) => (host, true),
                CookieDomain::NotPresent | CookieDomain::Empty => return None,
            };
            Some(Cookie {
                name: cookie.name().to_owned(),
                value: cookie.value().to_owned(),
                host: host.clone(),
                with_subdomains,
                path: cookie.path().unwrap_or("/").to_owned(),
                secure: cookie.secure().unwrap_or(false),
                http_only: cookie.http_only().unwrap_or(false),
                same_site: cookie.same_site().and_then(|said| same_site(&said.to_string())),
            })
        });
        kept.collect()
    }

    /// Forgets its cookies and takes those of another browser. They last for this run, however long they would.
    pub fn replace(&mut self, cookies: impl Iterator<Item = Cookie>) {
        self.jar.clear();
        for cookie in cookies {
            let scheme = if cookie.secure { "https" } else { "http" };
            let Ok(url) = Url::parse(&format!("{scheme}://{}{}", cookie.host, cookie.path)) else { continue };
            let mut text = format!("{}={}; Path={}", cookie.name, cookie.value, cookie.path);
            for (said, attribute) in [(cookie.secure, "; Secure"), (cookie.http_only, "; HttpOnly")] {
                text.push_str(if said { attribute } else { "" });
            }
            if cookie.with_subdomains {
                text.push_str(&format!("; Domain={}", cookie.host));
            }
            if let Some(same_site) = cookie.same_site {
                text.push_str(&format!("; SameSite={same_site}"));
            }
            // The other browser has taken it already.
            let _ = self.jar.parse(&text, &url);
        }
    }

    /// A browser with some of its cookies.
    pub fn with_cookies(&self, keeps: impl Fn(&Cookie) -> bool) -> Browser {
        let mut other = Browser { jar: CookieStore::default(), agent: self.agent.clone() };
        other.replace(self.kept().into_iter().filter(keeps));
        other
    }

    /// Every cookie value, for the redactor.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.jar.iter_any().map(|cookie| cookie.value())
    }
}

/// Where a navigation begins, as a browser says it (Fetch Metadata, `Sec-Fetch-Site`): on the server's own page, or at the client. None: it says so to
/// trustworthy addresses alone.
fn site_of(request: &Request, url: &Url) -> Option<&'static str> {
    if url.scheme() != "https" && !crate::target::is_on_loopback(url) {
        return None;
    }
    let begun = ["origin", "referer"].into_iter().find_map(|wanted| request.headers.iter().find(|(name, _)| name == wanted));
    let is_own = begun.and_then(|(_, from)| Url::parse(from).ok()).is_some_and(|from| from.origin() == url.origin());
    Some(if is_own { "same-origin" } else { "cross-site" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_change_hands_unchanged() {
        let mut first = Browser::default();
        for (cookie, url) in [
            ("__Host-sid=a=b; Secure; HttpOnly; Path=/", "https://as.example/login"),
            ("lang=en; Domain=as.example; Path=/x", "https://login.as.example/x"),
            ("plain=1", "http://127.0.0.1:8080/auth/start"),
            ("at-home=1; SameSite=Lax", "http://127.0.0.1:8080/auth/start"),
        ] {
            first.jar.parse(cookie, &Url::parse(url).expect("a URL")).expect("a cookie");
        }
        let mut second = Browser::default();
        second.jar.parse("old=1", &Url::parse("http://127.0.0.1/").expect("a URL")).expect("a cookie");
        second.replace(first.kept().into_iter());
        let sort = |browser: &Browser| {
            let mut kept = browser.kept();
            kept.sort_by(|a, b| a.name.cmp(&b.name));
            kept
        };
        assert_eq!(sort(&first), sort(&second));
        assert_eq!(second.kept().len(), 4);
        assert_eq!(second.without_same_site().kept().len(), 3, "another site's request goes without it");
    }

    #[test]
    fn where_a_navigation_begins() {
        let site = |url: &str, header: Option<(&str, &str)>| {
            let headers = header.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            site_of(&Request { headers, ..Request::default() }, &Url::parse(url).expect("a URL"))
        };
        assert_eq!(site("https://as.example/authorize", None), Some("cross-site"), "the client sends the browser there");
        assert_eq!(site("https://as.example/login", Some(("origin", "https://as.example"))), Some("same-origin"));
        assert_eq!(site("https://as.example/next", Some(("referer", "https://as.example/login"))), Some("same-origin"));
        assert_eq!(site("https://as.example/consent", Some(("origin", "https://evil.example"))), Some("cross-site"));
        assert_eq!(site("http://127.0.0.1:1/x", Some(("origin", "null"))), Some("cross-site"));
        assert_eq!(site("http://as.example/x", None), None);
    }
}
