//! A simulated browser: cookies as browsers keep them, one jar for each session.

use cookie_store::CookieStore;
use url::Url;

use super::http::{Failure, Http, Request, Response};

/// One actor's browser. A clone starts with the same cookies and goes its own way.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    jar: CookieStore,
}

impl Browser {
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
    /// followed.
    ///
    /// # Errors
    /// Why no answer came.
    pub async fn navigate(&mut self, http: &Http, mut request: Request) -> Result<(Request, Response), (Request, Failure)> {
        request.headers.push(("accept".into(), "text/html,application/xhtml+xml,*/*;q=0.8".into()));
        request.headers.push(("user-agent".into(), super::USER_AGENT.into()));
        let url = Url::parse(&request.url).ok();
        if let Some(cookies) = url.as_ref().and_then(|url| self.cookies(url)) {
            request.headers.push(("cookie".into(), cookies));
        }
        match http.send(&request).await {
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

    /// Every cookie value, for the redactor.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.jar.iter_any().map(|cookie| cookie.value())
    }
}
