//! What shows that a report was not changed since it was made: a digest over canonical JSON (RFC 8785), a chain of digests
//! over the evidence, which tells what was changed, and an Ed25519 signature (RFC 8032).
//!
//! ```text
//! link of a piece of evidence = SHA-256( link before it ⏎ name of the piece ⏎ canonical JSON of the piece )
//! digest of a report          = SHA-256( canonical JSON of the report without controls, negative_controls and
//!                                        attempts, with the chain, without digest and signature )
//! signed text                 = "grantproof report sha256:" digest
//! ```
//!
//! The pieces are `controls`, `negative_controls` and the `attempts` of each variant, in the order of the report.
//! Anybody can make these again with a JSON library and SHA-256; docs/verify.md has it in a few lines of Python.

use std::collections::BTreeMap;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _, VerifyingKey};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::model::report::{Collection, Integrity, Link, Report, ScenarioVerdict, Signature};

/// How digests are made; a reader that does not know it cannot check them.
pub const METHOD: &str = "sha256, RFC 8785";

/// The member of a report that its verdicts are.
const VERDICTS: &str = "verdicts";

/// What is signed of a digest.
pub fn signed_text(digest: &str) -> String {
    format!("grantproof report sha256:{digest}")
}

/// Puts chain, digest and, with a key, the signature into a report.
///
/// # Errors
/// Evidence that cannot be read back.
pub fn seal(report: &mut Report, key: Option<&SigningKey>) -> io::Result<()> {
    let mut chain = Chain::default();
    chain.add("controls", &report.controls)?;
    chain.add("negative_controls", &report.negative_controls)?;
    for variant in report.verdicts.iter().flat_map(|v| &v.variants) {
        chain.add(&variant.id, &variant.attempts.load()?)?;
    }
    report.integrity = Some(Integrity { method: METHOD.into(), chain: chain.links, digest: String::new(), signature: None });
    // The evidence steps aside while the rest becomes JSON, and so do the verdicts, which are taken one by one.
    let controls = std::mem::take(&mut report.controls);
    let negatives = std::mem::take(&mut report.negative_controls);
    let mut verdicts = std::mem::take(&mut report.verdicts);
    let rest = serde_json::to_value(&*report);
    report.controls = controls;
    report.negative_controls = negatives;
    let mut rest = match rest? {
        Value::Object(rest) => rest,
        other => return Err(io::Error::other(format!("a report is no JSON object: {other}"))),
    };
    for name in ["controls", "negative_controls", "verdicts"] {
        rest.shift_remove(name);
    }
    let digest = skeleton_digest(rest, Some(verdicts.iter_mut().map(without_evidence)));
    report.verdicts = verdicts;
    let digest = digest?;
    if let Some(integrity) = &mut report.integrity {
        integrity.signature = key.map(|key| signature(key, &digest));
        integrity.digest = digest;
    }
    Ok(())
}

/// A verdict as JSON, without the trials of its variants.
fn without_evidence(verdict: &mut ScenarioVerdict) -> io::Result<Value> {
    let attempts: Vec<_> = verdict.variants.iter_mut().map(|variant| std::mem::take(&mut variant.attempts)).collect();
    let value = serde_json::to_value(&*verdict);
    for (variant, kept) in verdict.variants.iter_mut().zip(attempts) {
        variant.attempts = kept;
    }
    let mut value = value?;
    for variant in value.get_mut("variants").and_then(Value::as_array_mut).into_iter().flatten() {
        variant.as_object_mut().and_then(|object| object.shift_remove("attempts"));
    }
    Ok(value)
}

/// The integrity of several reports in one file: a chain over their digests, so that none can be taken out.
///
/// # Errors
/// None that can happen to a chain of texts.
pub fn of_collection(schema_version: &str, reports: &[Report], key: Option<&SigningKey>) -> io::Result<Integrity> {
    let digests = reports.iter().map(|r| (r.target.name.clone(), r.integrity.as_ref().map(|i| i.digest.clone())));
    let mut integrity = Integrity { method: METHOD.into(), chain: collection_chain(digests)?, digest: String::new(), signature: None };
    integrity.digest = collection_digest(schema_version, &integrity.chain)?;
    integrity.signature = key.map(|key| signature(key, &integrity.digest));
    Ok(integrity)
}

fn collection_chain(digests: impl Iterator<Item = (String, Option<String>)>) -> io::Result<Vec<Link>> {
    let mut chain = Chain::default();
    for (name, digest) in digests {
        chain.add(&name, &digest)?;
    }
    Ok(chain.links)
}

fn collection_digest(schema_version: &str, chain: &[Link]) -> io::Result<String> {
    let members = [
        ("schema_version".to_owned(), Value::from(schema_version)),
        ("integrity".to_owned(), serde_json::json!({ "method": METHOD, "chain": chain })),
    ];
    skeleton_digest(members.into_iter().collect(), None::<std::iter::Empty<io::Result<Value>>>)
}

fn signature(key: &SigningKey, digest: &str) -> Signature {
    Signature {
        algorithm: "Ed25519".into(),
        public_key: BASE64.encode(key.verifying_key().as_bytes()),
        signature: BASE64.encode(key.sign(signed_text(digest).as_bytes()).to_bytes()),
    }
}

/// What checking one report, or a collection as a whole, showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The target's name, or `the collection`.
    pub name: String,
    /// None: it has no digests (schemas before 1.2).
    pub digest: Option<String>,
    /// What was changed, in words; empty: nothing.
    pub changed: Vec<String>,
    pub signature: Signed,
}

/// Whether a digest is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    No,
    /// By this key, in base64.
    By(String),
    /// There is one, and it is not of this digest by the key that it names.
    Wrong(String),
}

impl Checked {
    /// Nothing speaks against it.
    pub fn is_whole(&self) -> bool {
        self.digest.is_some() && self.changed.is_empty() && !matches!(self.signature, Signed::Wrong(_))
    }
}

/// Checks the text of a report file: each report in it, and the collection if it is one. The text was read as a report before.
///
/// # Errors
/// What is no JSON of a report.
pub fn check(text: &str) -> io::Result<Vec<Checked>> {
    let whole: BTreeMap<String, &RawValue> = parse(text)?;
    let Some(reports) = whole.get("reports") else {
        return Ok(vec![check_report(text)?]);
    };
    let reports: Vec<&RawValue> = parse(reports.get())?;
    let mut all = Vec::new();
    for report in &reports {
        all.push(check_report(report.get())?);
    }
    let collection: Collection = parse(text)?;
    let mut checked = Checked { name: "the collection".into(), digest: None, changed: Vec::new(), signature: Signed::No };
    if let Some(integrity) = &collection.integrity {
        let chain = collection_chain(all.iter().map(|c| (c.name.clone(), c.digest.clone())))?;
        if chain != integrity.chain {
            checked.changed.push("which reports are in it, or their order".into());
        } else if collection_digest(&collection.schema_version, &chain)? != integrity.digest {
            checked.changed.push("its digest".into());
        }
        signed(&mut checked, integrity);
    }
    all.insert(0, checked);
    Ok(all)
}

fn check_report(text: &str) -> io::Result<Checked> {
    let mut whole: BTreeMap<String, &RawValue> = parse(text)?;
    let name = whole.get("target").map(|raw| parse::<Value>(raw.get())).transpose()?;
    let name = name.as_ref().and_then(|target| target.get("name")).and_then(Value::as_str).unwrap_or("?").to_owned();
    let mut checked = Checked { name, digest: None, changed: Vec::new(), signature: Signed::No };
    let Some(integrity) = whole.remove("integrity") else {
        return Ok(checked);
    };
    let integrity: Integrity = parse(integrity.get())?;
    if integrity.method != METHOD {
        checked.changed.push(format!("digests of a kind that this program does not know: {}", integrity.method));
        return Ok(checked);
    }
    let mut links = integrity.chain.iter();
    let mut before = String::new();
    let mut piece = |name: &str, raw: &RawValue, changed: &mut Vec<String>| -> io::Result<()> {
        match links.next() {
            Some(link) if link.of == name => {
                // Over the link before it as it stands there: so each piece is told by itself.
                if link_over(&before, name, &parse::<Value>(raw.get())?)? != link.sha256 {
                    changed.push(format!("the evidence of {name}"));
                }
                before = link.sha256.clone();
            }
            _ => changed.push(format!("the chain of evidence: it has no link for {name}")),
        }
        Ok(())
    };
    for name in ["controls", "negative_controls"] {
        if let Some(raw) = whole.remove(name) {
            piece(name, raw, &mut checked.changed)?;
        }
    }
    let mut verdicts = Vec::new();
    for verdict in whole.remove("verdicts").map(|raw| parse::<Vec<BTreeMap<String, &RawValue>>>(raw.get())).transpose()?.unwrap_or_default()
    {
        let mut fields = Map::new();
        for (name, raw) in verdict {
            let value = if name == "variants" {
                let mut variants = Vec::new();
                for mut variant in parse::<Vec<BTreeMap<String, &RawValue>>>(raw.get())? {
                    let id: String = variant.get("id").map(|raw| parse(raw.get())).transpose()?.unwrap_or_default();
                    if let Some(attempts) = variant.remove("attempts") {
                        piece(&id, attempts, &mut checked.changed)?;
                    }
                    variants.push(Value::Object(object(variant)?));
                }
                Value::Array(variants)
            } else {
                parse(raw.get())?
            };
            fields.insert(name, value);
        }
        verdicts.push(Value::Object(fields));
    }
    if let Some(link) = links.next() {
        checked.changed.push(format!("the evidence of {} was taken out", link.of));
    }
    let mut rest = object(whole)?;
    rest.insert("integrity".into(), serde_json::json!({ "method": METHOD, "chain": integrity.chain }));
    if skeleton_digest(rest, Some(verdicts.into_iter().map(Ok)))? != integrity.digest {
        checked.changed.push("what stands outside of the evidence: verdicts, target, run, gate or the chain".into());
    }
    signed(&mut checked, &integrity);
    Ok(checked)
}

fn signed(checked: &mut Checked, integrity: &Integrity) {
    checked.digest = Some(integrity.digest.clone());
    if let Some(signature) = &integrity.signature {
        checked.signature = if is_signature(signature, &integrity.digest) {
            Signed::By(signature.public_key.clone())
        } else {
            Signed::Wrong(signature.public_key.clone())
        };
    }
}

fn is_signature(signature: &Signature, digest: &str) -> bool {
    let bytes = |text: &str| BASE64.decode(text).ok();
    let key = bytes(&signature.public_key).and_then(|b| <[u8; 32]>::try_from(b).ok()).and_then(|b| VerifyingKey::from_bytes(&b).ok());
    let sign = bytes(&signature.signature).and_then(|b| ed25519_dalek::Signature::from_slice(&b).ok());
    signature.algorithm == "Ed25519"
        && key.zip(sign).is_some_and(|(key, sign)| key.verify(signed_text(digest).as_bytes(), &sign).is_ok() && !key.is_weak())
}

/// The chain while it grows.
#[derive(Default)]
struct Chain {
    links: Vec<Link>,
}

impl Chain {
    fn add(&mut self, name: &str, piece: &impl Serialize) -> io::Result<()> {
        let before = self.links.last().map_or("", |link| link.sha256.as_str());
        let sha256 = link_over(before, name, piece)?;
        self.links.push(Link { of: name.to_owned(), sha256 });
        Ok(())
    }
}

fn link_over(before: &str, name: &str, piece: &impl Serialize) -> io::Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(format!("{before}\n{name}\n"));
    serde_json_canonicalizer::to_writer(piece, &mut hasher)?;
    Ok(hexadecimal(&hasher.finalize()))
}

/// The digest of what stands outside of the evidence: of `rest`, which are the other members, and of the verdicts, where it has any.
/// They become canonical one by one, since together they are megabytes.
fn skeleton_digest(mut rest: Map<String, Value>, mut verdicts: Option<impl Iterator<Item = io::Result<Value>>>) -> io::Result<String> {
    if let Some(integrity) = rest.get_mut("integrity").and_then(Value::as_object_mut) {
        integrity.shift_remove("digest");
        integrity.shift_remove("signature");
    }
    let mut names: Vec<&str> = rest.keys().map(String::as_str).chain(verdicts.as_ref().map(|_| VERDICTS)).collect();
    // RFC 8785 §3.2.3.
    names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    let mut hasher = Sha256::new();
    for (before, name) in std::iter::once("{").chain(std::iter::repeat(",")).zip(names) {
        hasher.update(before);
        serde_json_canonicalizer::to_writer(&name, &mut hasher)?;
        hasher.update(":");
        match (rest.get(name), verdicts.take_if(|_| name == VERDICTS)) {
            (_, Some(verdicts)) => {
                hasher.update("[");
                for (before, verdict) in std::iter::once("").chain(std::iter::repeat(",")).zip(verdicts) {
                    hasher.update(before);
                    serde_json_canonicalizer::to_writer(&verdict?, &mut hasher)?;
                }
                hasher.update("]");
            }
            (value, None) => serde_json_canonicalizer::to_writer(&value, &mut hasher)?,
        }
    }
    hasher.update("}");
    Ok(hexadecimal(&hasher.finalize()))
}

fn object(fields: BTreeMap<String, &RawValue>) -> io::Result<Map<String, Value>> {
    fields.into_iter().map(|(name, raw)| Ok((name, parse(raw.get())?))).collect()
}

fn parse<'t, T: serde::Deserialize<'t>>(text: &'t str) -> io::Result<T> {
    serde_json::from_str(text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
