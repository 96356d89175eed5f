//! What is found of a secret, and what is left alone.

use super::*;

#[test]
fn equal_secrets_have_equal_marks_in_every_encoding() {
    let redactor = Redactor::default();
    redactor.learn("code", "a/secret+code");
    let clean = redactor.text("x=a/secret+code&y=a%2Fsecret%2Bcode");
    assert!(!clean.contains("secret"), "{clean}");
    let marks: Vec<&str> = clean.split(['=', '&']).filter(|p| p.starts_with('‹')).collect();
    assert_eq!(marks.len(), 2);
    assert_eq!(marks[0], marks[1]);
}

#[test]
fn of_secrets_that_overlap_nothing_is_left() {
    let redactor = Redactor::default();
    redactor.learn("code", "aaa1-bbbb-cccc");
    redactor.learn_own("refresh_token", "cccc-dddd-eeee");
    redactor.learn("access_token", "aaa1-bbbb-cccc-and-more");
    redactor.learn("cookie", "ünïcode-wert-ß");
    let clean = redactor.text("x aaa1-bbbb-cccc-dddd-eeee y ünïcode-wert-ß z aaa1-bbbb-cccc-and-more");
    assert!(!clean.contains("bbbb") && !clean.contains("dddd") && !clean.contains("and-more") && !clean.contains("wert"), "{clean}");
    assert!(clean.starts_with("x ‹code ") && clean.contains("› y ‹cookie ") && clean.contains("› z ‹access_token "), "{clean}");
}

proptest::proptest! {
    #[test]
    fn no_known_secret_survives(secret in "[a-c%+/é]{8,12}", before in "[a-c%+/é]{0,12}", after in "[a-c%+/é]{0,12}") {
        let redactor = Redactor::default();
        redactor.learn_own("code", &secret);
        let text = format!("{before}{secret}{after}{secret}");
        let clean = redactor.text(&text);
        proptest::prop_assert!(!clean.contains(&secret), "{}", clean);
    }
}

#[test]
fn short_secrets_are_masked_by_name_and_as_words() {
    let mut redactor = Redactor::default();
    redactor.learn_own("password", "any");
    redactor.learn_own("password", "demo");
    redactor.learn_own("password", "2026");
    redactor.learn_own("password", "ab1!");
    redactor.learn_own("otp", "287082");
    assert_eq!(redactor.form("login=alice&password=any&company=any"), "login=alice&password=‹password›&company=any");
    redactor.learn_name("j_pw", "password");
    assert_eq!(redactor.form("login=alice&j%5Fpw=any&company=any"), "login=alice&j%5Fpw=‹password›&company=any");
    let text = "a demo of 2026: ab1! is no xab1!, x287082 nor Mjg3MDgy";
    assert_eq!(redactor.text(text), "a demo of 2026: ‹password› is no xab1!, x‹otp› nor ‹otp›");
}

/// A token that is called like an error code must not take the error codes out of the evidence.
#[test]
fn words_of_the_protocol_are_no_secrets() {
    let redactor = Redactor::default();
    redactor.learn_from(r#"{"code": "invalid_grant", "access_token": "REGISTERED", "data": [{"refresh_token": "R-efresh-1"}]}"#);
    assert_eq!(
        redactor.text("invalid_grant REGISTERED R-efresh-1"),
        format!("invalid_grant REGISTERED {}", mark("refresh_token", "R-efresh-1"))
    );
    redactor.learn_own("password", "wonderland");
    assert_eq!(redactor.text("xwonderlandx"), "x‹password›x");
}

const SECRET: &str = "pä/S+9? &%\\\"é=Zz";

/// Each of these is the secret to somebody.
fn written(secret: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    let every = |format: &dyn Fn(u8) -> String| secret.bytes().map(format).collect::<String>();
    let percent = wire::encode(secret).into_owned();
    let json = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04x}")).collect::<String>();
    let mut all = vec![
        secret.to_owned(),
        percent.replace("%20", "+"),
        percent.to_ascii_lowercase().replace("zz", "Zz").replace("s%2b", "S%2b"),
        wire::encode(&percent).into_owned(),
        every(&|b| format!("%{b:02x}")),
        every(&|b| format!("%{b:02X}")),
        every(&|b| format!("{b:02x}")),
        every(&|b| format!("{b:02X}")),
        secret.chars().map(json).collect(),
        serde_json::to_string(secret).expect("JSON").trim_matches('"').replace('/', "\\/"),
        serde_json::to_string(secret).expect("JSON").trim_matches('"').replace('Z', "\\u005A"),
        secret.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
        secret.chars().map(|c| format!("&#x{:X};", u32::from(c))).collect(),
        secret.replace('&', "&amp;").replace('"', "&quot;"),
        percent.clone(),
    ];
    for text in [secret, &percent] {
        for before in ["", ":", "ab", "abc"] {
            for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
                all.push(engine.encode(format!("{before}{text}")));
                all.push(engine.encode(format!("{before}{text}\"}}")));
            }
        }
    }
    all.extend(all.clone().iter().map(|text| wire::encode(text).into_owned()));
    all
}

/// What is left of a text beside the mark: in base64, characters that have bits of other bytes in them.
#[test]
fn a_secret_is_found_in_every_encoding() {
    for secret in [SECRET, "opaque-token-1", "hunter2"] {
        let redactor = Redactor::default();
        redactor.learn_own("password", secret);
        for text in written(secret) {
            let clean = redactor.text(&text);
            let left = clean.replace("‹password›", "");
            assert!(clean.contains("‹password›") && left.len() <= 16, "{text} became {clean}");
        }
    }
}

#[test]
fn a_text_that_was_cut_ends_before_the_cut() {
    let redactor = Redactor::default();
    redactor.learn_own("password", "correct horse battery staple");
    assert_eq!(redactor.cut_text("<p>it is correct horse ba"), "<p>it is ");
    assert_eq!(redactor.cut_text("<p>it is Y29ycmVjdCBob3Jz"), "<p>it is ");
    assert_eq!(redactor.cut_text("<p>no end"), "<p>no ");
}

#[test]
fn a_redacted_text_stays_as_it_is() {
    let redactor = Redactor::default();
    redactor.learn("code", "aaaa-bbbb-1111");
    let url = redactor.url("https://a.example/cb?x=aaaa-bbbb-1111&code=aaaa-bbbb-1111&access_token=other#state=s");
    assert_eq!(redactor.url(&url), url);
    assert_eq!(url.matches(&mark("code", "aaaa-bbbb-1111")).count(), 2, "{url}");
    let cookie = redactor.header("Set-Cookie", "sid=aaaa-bbbb-1111; Path=/aaaa-bbbb-1111").into_owned();
    assert_eq!(redactor.header("set-cookie", &cookie), cookie);
    assert!(!cookie.contains("bbbb"), "{cookie}");
}

#[test]
fn what_travels_under_a_secret_name_is_learnt() {
    let redactor = Redactor::default();
    redactor.learn_from(r#"{"access_token":"opaque-token-1","scope":"openid"}"#);
    redactor.learn_from("https://app.example/cb?code=secret-code-1&state=public-state");
    let clean = redactor.text("opaque-token-1 secret-code-1 public-state openid eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0. end");
    assert!(!clean.contains("opaque-token-1") && !clean.contains("secret-code-1") && !clean.contains("eyJ"), "{clean}");
    assert!(clean.contains("public-state openid ‹jwt ") && clean.ends_with("› end"), "{clean}");
}

#[test]
fn a_word_of_http_stays_where_a_password_is_the_same() {
    let redactor = Redactor::default();
    redactor.learn_own("password", "navigate");
    assert_eq!(redactor.header("sec-fetch-mode", "navigate"), "navigate");
    assert_eq!(redactor.header("x-said", "navigate it"), "‹password› it");
    assert!(!redactor.header("authorization", "navigate").contains("navigate"));
}

#[test]
fn cookies_and_credentials_never_stand_in_headers() {
    let redactor = Redactor::default();
    assert!(!redactor.header("Cookie", "sid=abcdef; t=ghi").contains("abcdef"));
    assert!(!redactor.header("authorization", "Basic YTpi").contains("YTpi"));
    assert!(redactor.header("Set-Cookie", "sid=abcdef; HttpOnly").ends_with("; HttpOnly"));
}

/// A password that is the word of its own mark is replaced once, and what was replaced stays as it is.
#[test]
fn the_word_of_a_mark_is_no_secret_in_it() {
    let redactor = Redactor::default();
    redactor.learn_own("password", "password");
    let clean = redactor.text("it says password=password, and ‹password›").into_owned();
    assert_eq!(clean, "it says ‹password›=‹password›, and ‹password›");
    assert_eq!(redactor.text(&clean), clean);
}
