//! What the headers of the answers on the way say: whether they may be kept, and who is told where the browser was.

use url::Url;

use crate::engine::button;
use crate::engine::http::Response;
use crate::engine::login::{self, Filled, What};
use crate::engine::page::Page;
use crate::target;

use super::Journey;
use super::address::path_of;

/// Pages that a scenario may ask about, by path.
#[derive(Debug, Default)]
pub(super) struct Seen {
    cacheable: Vec<String>,
    leaking: Vec<String>,
    unguarded: Vec<String>,
}

/// What an answer says of keeping it (RFC 9111 §5.2.2, §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caching {
    Forbidden,
    Unsaid,
    Allowed,
}

impl Caching {
    fn of(response: &Response) -> Caching {
        let text = response.all("cache-control").collect::<Vec<_>>().join(",").to_ascii_lowercase();
        let directives: Vec<&str> = text.split(',').map(str::trim).collect();
        let has = |name: &str| directives.contains(&name);
        let lasts = |name: &str| {
            let value = directives.iter().find_map(|d| d.strip_prefix(name)?.strip_prefix('='));
            value.map(|seconds| seconds.trim_matches('"').parse::<u64>().is_ok_and(|seconds| seconds > 0))
        };
        if has("no-store") || has("no-cache") {
            return Caching::Forbidden;
        }
        match (lasts("s-maxage"), lasts("max-age")) {
            (Some(true), _) | (_, Some(true)) => Caching::Allowed,
            (_, Some(false)) => Caching::Forbidden,
            _ if has("public") => Caching::Allowed,
            _ => Caching::Unsaid,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Caching::Forbidden => "forbidden",
            Caching::Unsaid => "unsaid",
            Caching::Allowed => "allowed",
        }
    }
}

impl Journey<'_, '_> {
    /// Notes the headers of an answer.
    pub(super) fn watch(&mut self, response: &Response) {
        for (field, header) in [("allow_origin", "access-control-allow-origin"), ("allow_credentials", "access-control-allow-credentials")]
        {
            self.raw.field(field, response.header(header));
        }
        // Of the last answer, which is the one with the code.
        self.raw.field("code_caching", Some(Caching::of(response).name()));
    }

    /// Notes the headers of a page with a form, and where it leads.
    pub(super) fn watch_form_page(&mut self, here: &str, response: &Response, page: &Page) {
        if Caching::of(response) == Caching::Allowed {
            self.seen.cacheable.push(path_of(here));
        }
        let own = target::origin(here);
        let is_elsewhere = |address: &String| {
            let to = Url::parse(here).ok().and_then(|base| base.join(address).ok());
            to.is_some_and(|url| matches!(url.scheme(), "http" | "https") && target::origin(url.as_str()) != own)
        };
        let names_others = page.links.iter().any(is_elsewhere);
        // Of several policies the last that is known counts (Referrer Policy §8.1).
        let header = response.all("referrer-policy").collect::<Vec<_>>().join(",");
        let words = |text: &str| text.split(',').map(|word| word.trim().to_ascii_lowercase()).rfind(|word| !word.is_empty());
        let policy = words(page.referrer.as_deref().unwrap_or_default()).or_else(|| words(&header));
        match policy.as_deref() {
            Some("unsafe-url" | "no-referrer-when-downgrade") if names_others => self.seen.leaking.push(path_of(here)),
            None if names_others => self.seen.unguarded.push(path_of(here)),
            _ => {}
        }
        let seen = &mut self.seen;
        let lists =
            [("cacheable_pages", &mut seen.cacheable), ("leaking_pages", &mut seen.leaking), ("unguarded_pages", &mut seen.unguarded)];
        for (field, paths) in lists {
            paths.dedup();
            self.raw.field(field, Some(paths.join(" ")).filter(|paths| !paths.is_empty()));
        }
    }

    /// The form as somebody sends it who refuses, where there is a button for that.
    pub(super) fn as_denied(&mut self, page: &Page, filled: Filled) -> Filled {
        if !self.conduct.denies || filled.what != What::Consent {
            return filled;
        }
        let Some((at, form, button)) = button::refusing(page) else { return filled };
        let denied = login::pressed(at, form, Some(button), false);
        if (denied.form, &denied.pairs, &denied.action) == (filled.form, &filled.pairs, &filled.action) {
            self.remarks
                .push("the button that refuses sends what the one that agrees does: only a script of the page tells them apart".into());
            return filled;
        }
        self.raw.field("denied", Some("true"));
        if button.script {
            self.raw.field("by_script", Some("true"));
            self.remarks.push("the button that refuses has a script of its own, which is not run here".into());
        }
        denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_kept() {
        let of = |value: &str| Caching::of(&Response { headers: vec![("Cache-Control".into(), value.into())], ..Response::default() });
        for forbidden in ["no-store", "no-cache, private", "private, max-age=0", "max-age=60, no-store"] {
            assert_eq!(of(forbidden), Caching::Forbidden, "{forbidden}");
        }
        for allowed in ["public", "max-age=60", "private, max-age=5", "public, max-age=0, s-maxage=9"] {
            assert_eq!(of(allowed), Caching::Allowed, "{allowed}");
        }
        assert_eq!(of("private"), Caching::Unsaid);
        assert_eq!(Caching::of(&Response::default()), Caching::Unsaid);
    }
}
