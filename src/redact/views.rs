//! A text as its readers decode it, with the way back to the text: `%41`, `\u0041` and `&#x41;` are all an `A`.
//!
//! Any character of a secret may be escaped or not, so escaped secrets cannot be listed. They are looked for in what the
//! escapes mean.

/// Ways to write a character in another way.
const ALL: [Escapes; 3] = [Escapes::Percent, Escapes::Json, Escapes::Html];

/// Escapes inside of escapes are undone so often: percent-encoded twice, in JSON.
const DEEPEST: u8 = 3;

/// A text may make so many views, whatever it mixes.
const MOST: usize = 20;

/// And so many bytes of them, where a text is long.
const MOST_BYTES: usize = 16 << 20;

/// Named references of HTML for ASCII, where letters and digits have none.
const NAMED: &[(&str, u8)] = &[
    ("amp", b'&'),
    ("lt", b'<'),
    ("gt", b'>'),
    ("quot", b'"'),
    ("apos", b'\''),
    ("plus", b'+'),
    ("sol", b'/'),
    ("equals", b'='),
    ("colon", b':'),
    ("period", b'.'),
    ("comma", b','),
    ("semi", b';'),
    ("lowbar", b'_'),
    ("excl", b'!'),
    ("num", b'#'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("ast", b'*'),
    ("quest", b'?'),
    ("commat", b'@'),
    ("lsqb", b'['),
    ("rsqb", b']'),
    ("bsol", b'\\'),
    ("Hat", b'^'),
    ("grave", b'`'),
    ("lcub", b'{'),
    ("rcub", b'}'),
    ("verbar", b'|'),
];

/// The longest name among them.
const LONGEST_NAMED: usize = 6;

#[derive(Debug, Clone, Copy)]
enum Escapes {
    /// RFC 3986 §2.1.
    Percent,
    /// RFC 8259 §7, and `\x41` of JavaScript.
    Json,
    /// Character references of HTML, with or without the semicolon.
    Html,
}

/// A text with escapes undone.
#[derive(Debug)]
pub struct View {
    pub bytes: Vec<u8>,
    /// Where in the text each byte comes from; behind the last one, where the text ends.
    from: Vec<u32>,
    depth: u8,
}

impl View {
    /// The piece of the text that a piece of the view is made of.
    pub fn origin(&self, start: usize, end: usize) -> (usize, usize) {
        let at = |place: usize| self.from.get(place).or(self.from.last()).map_or(0, |from| *from as usize);
        (at(start), at(end))
    }
}

/// Whether a text could have a view at all: one quick look, for the many that have none.
pub fn any(text: &[u8]) -> bool {
    memchr::memchr3(b'%', b'\\', b'&', text).is_some()
}

/// What a text says when escapes are undone, kind by kind and inside of each other.
///
/// A secret may have in it what looks like an escape of another kind, so they are not all undone at once.
pub fn of(text: &[u8]) -> Vec<View> {
    let mut views: Vec<View> = ALL.iter().filter_map(|kind| undone(*kind, text, None)).collect();
    let mut next = 0;
    while next < views.len() && views.len() < MOST && views.iter().map(|v| v.bytes.len()).sum::<usize>() < MOST_BYTES {
        if views[next].depth < DEEPEST {
            for kind in ALL {
                // Two kinds in either order mostly come to the same.
                let new = undone(kind, &views[next].bytes, Some(&views[next])).filter(|new| !views.iter().any(|v| v.bytes == new.bytes));
                views.extend(new);
            }
        }
        next += 1;
    }
    views
}

/// None where there is nothing to undo. `outer`: the view that the bytes are of.
fn undone(kind: Escapes, source: &[u8], outer: Option<&View>) -> Option<View> {
    let sign = match kind {
        Escapes::Percent => b'%',
        Escapes::Json => b'\\',
        Escapes::Html => b'&',
    };
    // Most texts that have the sign have no escape, and are not copied.
    let signs = |from: usize| memchr::memchr_iter(sign, &source[from..]).map(move |at| from + at);
    let (first, mut escape) = signs(0).find_map(|at| Some((at, read(kind, &source[at + 1..])?)))?;
    let origin = |place: usize| {
        let place = outer.map_or(place, |view| view.origin(place, place).0);
        u32::try_from(place).unwrap_or(u32::MAX)
    };
    let (mut bytes, mut from) = (Vec::with_capacity(source.len()), Vec::with_capacity(source.len() + 1));
    bytes.extend_from_slice(&source[..first]);
    from.extend((0..first).map(origin));
    let mut at = first;
    loop {
        let (length, meaning) = escape;
        let mut buffer = [0; 4];
        let meant = match &meaning {
            Meaning::Byte(byte) => std::slice::from_ref(byte),
            Meaning::Character(character) => character.encode_utf8(&mut buffer).as_bytes(),
        };
        bytes.extend_from_slice(meant);
        from.extend(meant.iter().map(|_| origin(at)));
        at += length + 1;
        let next = signs(at).find_map(|at| Some((at, read(kind, &source[at + 1..])?)));
        let end = next.map_or(source.len(), |(at, _)| at);
        bytes.extend_from_slice(&source[at..end]);
        from.extend((at..end).map(origin));
        at = end;
        match next {
            Some((_, next)) => escape = next,
            None => break,
        }
    }
    from.push(origin(source.len()));
    Some(View { bytes, from, depth: outer.map_or(1, |view| view.depth + 1) })
}

/// What an escape stands for.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Byte(u8),
    Character(char),
}

/// Reads what follows the sign of an escape: its length, and what it means.
fn read(kind: Escapes, rest: &[u8]) -> Option<(usize, Meaning)> {
    match kind {
        Escapes::Percent => Some((2, Meaning::Byte(u8::try_from(hex(rest, 2)?).ok()?))),
        Escapes::Json => match *rest.first()? {
            plain @ (b'"' | b'\\' | b'/' | b'\'') => Some((1, Meaning::Byte(plain))),
            b'n' => Some((1, Meaning::Byte(b'\n'))),
            b'r' => Some((1, Meaning::Byte(b'\r'))),
            b't' => Some((1, Meaning::Byte(b'\t'))),
            b'x' => Some((3, Meaning::Character(char::from_u32(hex(&rest[1..], 2)?)?))),
            b'u' => {
                let first = hex(&rest[1..], 4)?;
                if let (0xd800..=0xdbff, Some([b'\\', b'u'])) = (first, rest.get(5..7)) {
                    let second = hex(&rest[7..], 4).filter(|second| (0xdc00..=0xdfff).contains(second))?;
                    let character = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?;
                    return Some((11, Meaning::Character(character)));
                }
                Some((5, Meaning::Character(char::from_u32(first)?)))
            }
            _ => None,
        },
        Escapes::Html => {
            let (number, radix) = match rest {
                [b'#', b'x' | b'X', ..] => (2, 16),
                [b'#', ..] => (1, 10),
                _ => (0, 0),
            };
            if number == 0 {
                // An `&` between pairs is no reference.
                if !rest.iter().take(LONGEST_NAMED + 1).any(|byte| *byte == b';') {
                    return None;
                }
                let name = |name: &str| rest.strip_prefix(name.as_bytes()).is_some_and(|after| after.first() == Some(&b';'));
                let (name, byte) = NAMED.iter().find(|(n, _)| name(n))?;
                return Some((name.len() + 1, Meaning::Byte(*byte)));
            }
            let digits = rest[number..].iter().take_while(|b| char::from(**b).is_digit(radix)).count();
            let text = std::str::from_utf8(rest.get(number..number + digits)?).ok()?;
            let character = char::from_u32(u32::from_str_radix(text, radix).ok()?)?;
            let semicolon = usize::from(rest.get(number + digits) == Some(&b';'));
            Some((number + digits + semicolon, Meaning::Character(character)))
        }
    }
}

/// So many hexadecimal digits as a number.
fn hex(text: &[u8], digits: usize) -> Option<u32> {
    let text = text.get(..digits).filter(|t| t.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_is_undone_and_leads_back() {
        for text in [
            "x%73ecret!y",
            "x\\u0073e\\u0063ret!y",
            "x&#115;ecret&excl;y",
            "x&#x73;ecret&#33y",
            "x%2573ecret!y",
            "x\\\\u0073ecret!y",
            "x%5Cu0073ecret!y",
            "x&amp;#115;ecret!y",
        ] {
            let views = of(text.as_bytes());
            let view = views.iter().find(|v| v.bytes == b"xsecret!y").unwrap_or_else(|| panic!("{text}: {views:?}"));
            assert_eq!(view.origin(1, 8), (1, text.len() - 1), "{text}");
        }
    }

    #[test]
    fn no_name_is_longer_than_the_longest() {
        assert_eq!(NAMED.iter().map(|(name, _)| name.len()).max(), Some(LONGEST_NAMED));
    }

    #[test]
    fn what_is_no_escape_stays() {
        assert!(of(b"100% of a & b \\ c %zz &x; \\q").is_empty());
        let views = of("\\ud83d\\ude00 \\ud83d".as_bytes());
        assert!(views.iter().any(|v| v.bytes == "😀 \\ud83d".as_bytes()), "{views:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_fail(text in "[%u&#x0-9a-f;\\\\é]{0,40}") {
            for view in of(text.as_bytes()) {
                proptest::prop_assert_eq!(view.from.len(), view.bytes.len() + 1);
                proptest::prop_assert!(view.from.windows(2).all(|w| w[0] <= w[1]));
            }
        }
    }
}
