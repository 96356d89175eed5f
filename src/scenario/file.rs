//! The shape of scenario and flow files. The JSON Schemas for editors are generated from these types, and the loader
//! reads through them: an editor and the program agree by construction.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::authentication::ShownCertificate;
use crate::model::bend::Encrypted;
use crate::model::conduct::{Keep, Stop, Taken};
use crate::model::profile::{Level, Severity};
use crate::model::scenario::Risk;
use crate::model::step::{ClientRole, Place, ResourcePlace, StepKind, UserRole};
use crate::model::value::Signature;
use crate::place::{At, Names, OneOrMore};

/// An attack scenario of grantproof: a control that must be granted, and attacks that are the same flow with a named
/// change.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioFile {
    /// `group/name`, the same as the path of the file under the scenario directory.
    pub id: At<String>,
    /// What is true when the defense holds, in one line.
    pub title: At<String>,
    /// How the server defends itself, in one sentence.
    pub defense: At<String>,
    pub severity: At<Severity>,
    /// The weakness behind it, `CWE-757`.
    pub cwe: Option<At<String>>,
    /// Ids of requirements in `standards/`: `RFC9700#2.1.1`.
    #[serde(default)]
    pub basis: Vec<At<String>>,
    /// How strongly the entry counts in each profile; a profile that is missing does not ask for it.
    pub level: LevelFile,
    /// What an attacker walks away with.
    pub harm: Option<At<String>>,
    /// What to change in the server.
    pub fix: Option<At<String>>,
    /// How much it asks of the target.
    #[serde(default)]
    pub risk: Risk,
    /// The attack provokes the server into revoking sessions or grants, so it never runs beside another trial.
    #[serde(default)]
    pub disturbs: bool,
    /// One of the six attacks that the project began with.
    #[serde(default)]
    pub card: bool,
    /// Conditions on the control and the target; the first one that is false is the reason for `not_applicable`.
    #[serde(default)]
    pub applies_when: Vec<Names<At<String>>>,
    /// The members of the metadata by which a server claims the defense, each with what it must say: `S256`, `true`, `any`.
    #[serde(default)]
    pub claimed_by: Names<At<String>>,
    /// Numbers that are reported, without a verdict.
    #[serde(default)]
    pub measures: Vec<MeasureFile>,
    pub control: ControlFile,
    pub attacks: Vec<AttackFile>,
}

/// A number that a scenario measures.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasureFile {
    /// What it is: `lifetime of a code`.
    pub name: At<String>,
    /// `s`.
    pub unit: At<String>,
    /// A field that the control is given: what the server states (`redeem.expires_in`).
    pub reads: Option<At<String>>,
    /// The attack that tries the numbers of its `for_each`, in their order, until one is refused; where it waits, all of them. It gives
    /// no verdict: `broken_if_…` says what being taken looks like.
    pub by: Option<At<String>>,
    /// What the report says instead of "taken" and "refused", such as `[caught, missed]`.
    pub words: Option<[String; 2]>,
    /// What the standards advise, in words.
    pub advice: At<String>,
    /// Ids of the requirements that do.
    #[serde(default)]
    pub basis: Vec<At<String>>,
}

/// Strength per profile.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelFile {
    pub baseline: Option<Level>,
    #[serde(rename = "oauth2.1")]
    pub oauth21: Option<Level>,
    pub fapi2: Option<Level>,
    pub oidc: Option<Level>,
    pub mcp: Option<Level>,
}

/// The flow that must be granted before and after the attack.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlFile {
    /// A file of `flows/`, without its ending.
    pub flow: At<String>,
    /// Steps in order; `attacker.authorize` runs in a browser session of its own.
    pub steps: Vec<At<String>>,
    /// The client of the default session.
    pub client: Option<ClientRole>,
    /// Client and user of the other sessions.
    #[serde(default)]
    pub sessions: Names<SessionFile>,
    /// Bends the control itself.
    #[serde(default)]
    pub change: Names<OperationsFile>,
}

/// A browser session of its own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionFile {
    #[serde(default)]
    pub client: ClientRole,
    #[serde(default)]
    pub user: UserRole,
}

/// A variant of the attack.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackFile {
    pub id: At<String>,
    pub title: Option<At<String>>,
    #[serde(default)]
    pub applies_when: Vec<Names<At<String>>>,
    /// One variable and its words; each word is a case, and the worst case is the verdict.
    #[serde(default)]
    pub for_each: Names<Vec<At<String>>>,
    /// Control and attack of this variant run as this client in the default session.
    pub client: Option<ClientRole>,
    /// Which steps the attacker sends, and all that he may know.
    pub attacker: Option<AttackerFile>,
    /// What differs from the control, step by step.
    pub change: Names<OperationsFile>,
    /// The refusal was seen: one of these. Predicates of one list item must all be true.
    pub holds_if_any: Option<Vec<Names<OneOrMore<At<String>>>>>,
    /// The refusal was seen: all of these.
    pub holds_if_all: Option<Vec<Names<OneOrMore<At<String>>>>>,
    /// There was nothing to attack after all (no page came, no password was asked for): one of these makes it
    /// `not_applicable` where neither harm nor refusal was seen.
    pub moot_if_any: Option<Vec<Names<OneOrMore<At<String>>>>>,
    /// The harm was seen: one of these.
    pub broken_if_any: Option<Vec<Names<OneOrMore<At<String>>>>>,
    /// The harm was seen: all of these.
    pub broken_if_all: Option<Vec<Names<OneOrMore<At<String>>>>>,
    /// The token that the attacker walks away with (`redeem.access_token`): it is shown to work.
    pub takes: Option<At<String>>,
    /// A pause before the repetition that confirms the harm (`${target.refresh_grace}`).
    pub confirm_after: Option<At<String>>,
    /// Where that attack is broken, this one is filed under it.
    #[serde(default)]
    pub implied_by: Vec<At<String>>,
    /// Flaws of the lab that make it `broken`.
    #[serde(default)]
    pub proved_by: OneOrMore<At<String>>,
    /// Why no flaw of the lab proves it.
    pub unproved: Option<At<String>>,
    /// Its harm is a deviation of the entry, not the entry's verdict.
    #[serde(default)]
    pub lesser: bool,
    /// The attack is itself the blatantly invalid request that other verdicts rest on: it is judged even where the
    /// endpoint refuses nothing.
    #[serde(default)]
    pub negative_control: bool,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackerFile {
    #[serde(default)]
    pub does: Vec<At<String>>,
    #[serde(default)]
    pub has: Vec<At<String>>,
}

/// What differs in one step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationsFile {
    /// Parameters that the control does not send.
    #[serde(default)]
    pub set: Names<ValueFile>,
    /// Parameters that the control sends, with another value.
    #[serde(default)]
    pub replace: Names<ValueFile>,
    /// Parameters that the control sends.
    #[serde(default)]
    pub remove: Vec<At<String>>,
    /// Parameters that the control does not send, and a target file may add (`authorization_parameters`): left out.
    #[serde(default)]
    pub omit: Vec<At<String>>,
    /// Sent twice, the control's value first.
    #[serde(default)]
    pub duplicate: Names<ValueFile>,
    /// Sent twice, the control's value last.
    #[serde(default)]
    pub duplicate_before: Names<ValueFile>,
    /// The same value at another place.
    #[serde(rename = "move", default)]
    pub move_to: Names<Place>,
    /// Another HTTP method (`GET` at the token endpoint).
    pub method: Option<At<String>>,
    /// Another Content-Type; with `application/json` the parameters travel as a JSON object.
    pub content_type: Option<At<String>>,
    /// Text appended to the path of the endpoint, byte for byte (`/..;/`).
    pub path_suffix: Option<At<String>>,
    /// Parameters whose value goes out byte for byte, without percent-encoding.
    #[serde(default)]
    pub unencoded: Vec<At<String>>,
    /// Another client authentication than the registered one.
    pub authenticate: Option<AuthenticateFile>,
    /// Another TLS certificate than the client's own (RFC 8705).
    pub certificate: Option<ShownCertificate>,
    /// The DPoP proof that goes with the request (RFC 9449).
    pub proof: Option<ProofFile>,
    /// The parameters travel in a signed request object (RFC 9101).
    pub request_object: Option<RequestObjectFile>,
    /// The parameters travel in the front channel as they are, whatever the target asks for.
    #[serde(default)]
    pub plain: bool,
    /// Acts as another client of the target.
    #[serde(rename = "as")]
    pub act_as: Option<ClientRole>,
    /// Logs in another user of the target.
    pub user: Option<UserRole>,
    /// The step runs in a browser in which nobody is logged in.
    #[serde(default)]
    pub logged_out: bool,
    /// The step runs in a browser with the cookies that this one had before its last login.
    #[serde(default)]
    pub before_login: bool,
    /// How the browser of a front-channel step is led.
    pub browser: Option<BrowserFile>,
    /// The cookies of this session's browser go out with a token request; `default` is the session without a name.
    pub cookies_of: Option<At<String>>,
    /// The same request once more, right after, under this name.
    pub repeat: Option<At<String>>,
    /// The step is left out.
    #[serde(default)]
    pub skip: bool,
    /// A pause before the step (with `repeat`: before the repetition).
    pub wait: Option<At<String>>,
    /// That many identical requests, released at the same moment.
    pub burst: Option<At<u32>>,
    /// The request once for each line of this parameter's value (the `refresh_tokens` of a burst), one after the other.
    pub each: Option<At<String>>,
}

/// Client authentication that differs from the registered one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticateFile {
    /// client_id in the body and nothing else.
    ClientIdOnly,
    /// Neither client_id nor anything else.
    Nothing,
    /// The registered method with another secret.
    Secret(At<String>),
    /// A client assertion signed with a fresh key of the same type, kid kept.
    FreshKey,
    /// A client assertion with this alg in its header and an empty signature.
    Unsigned(At<String>),
    /// The genuine client assertion with an empty signature.
    EmptySignature,
    /// A client assertion with a changed header or changed claims, or signed with another key.
    Assertion(Box<BendFile>),
}

/// The DPoP proof of a request.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProofFile {
    /// As a client makes it.
    Genuine,
    /// No proof, and a token is shown as a bearer token.
    None,
    /// No proof, and a token is shown with the scheme DPoP all the same.
    Missing,
    /// Any text: `${redeem.sent.dpop}` is the proof of an earlier step.
    Text(At<String>),
    /// A proof that differs from the genuine one.
    Bent(Box<BendFile>),
    /// Two headers: a proof that differs, and behind it the genuine one.
    Beside(Box<BendFile>),
    /// Two headers: the genuine proof, and behind it one that differs.
    Behind(Box<BendFile>),
}

/// How an assertion, a proof or a request object differs from the genuine one; without `key` its own key signs it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BendFile {
    /// The alg of the header.
    pub alg: Option<At<String>>,
    /// `${attacker_key()}`, `${client_key("jwk-json")}`, or the text of an HMAC secret.
    pub key: Option<At<String>>,
    /// Header members.
    #[serde(default)]
    pub header: Names<At<String>>,
    /// Claims; a number, truth value, object or list is written as such.
    #[serde(default)]
    pub claims: Names<At<String>>,
    /// Members of header and claims that are left out.
    #[serde(default)]
    pub without: Vec<At<String>>,
    #[serde(default)]
    pub signature: Signature,
}

/// A request object, signed with the client's key.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestObjectFile {
    /// How it differs from the genuine one.
    #[serde(default)]
    pub bent: BendFile,
    /// Parameters that stand beside it.
    #[serde(default)]
    pub beside: Names<At<String>>,
    /// What of it is encrypted to the server's published key (RFC 7516).
    pub encrypted: Option<At<Encrypted>>,
}

/// How a browser is led, where that is not what a person does who logs in and agrees.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrowserFile {
    /// It stops at this page: its form is filled in and not sent.
    pub stop_at: Option<Stop>,
    /// It begins with what another step stopped at, in place of a request.
    pub go_on: Option<GoOnFile>,
    /// It presses the button that refuses consent.
    #[serde(default)]
    pub deny: bool,
    /// Values that forms carry for parameters of the request, and what goes out in their place.
    #[serde(default)]
    pub tamper: Names<At<String>>,
    /// It begins with those of its cookies alone.
    pub keep_cookies: Option<Keep>,
    /// It has the cookies that the browser of this step had when that began.
    pub as_before: Option<At<String>>,
    /// It loads the images of the pages that it passes, as far as they are the server's own: elsewhere nothing is loaded.
    #[serde(default)]
    pub images: bool,
}

/// What a step takes over from another one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoOnFile {
    /// The step that stopped at a page.
    pub from: At<String>,
    pub with: Taken,
    /// With `page`: the page at which this step stopped is opened instead, as the page of the other: its path, and for each
    /// parameter of its address the value that the other page has under that name, in its address or in a hidden field.
    pub path_of: Option<At<String>>,
}

/// Text with `${ … }`, or a forged token.
#[derive(Debug, Clone)]
pub enum ValueFile {
    Text(At<String>),
    Forge(Box<ForgeFile>),
}

/// A token made from a genuine one; what is not named stays byte for byte.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgeFile {
    /// `${redeem.access_token}`
    pub from: At<String>,
    /// The alg of the forged header.
    pub alg: Option<At<String>>,
    /// `${public_key(redeem.access_token, "spki-pem")}`
    pub key: Option<At<String>>,
    /// Header members.
    #[serde(default)]
    pub header: Names<At<String>>,
    /// Claims; a number or truth value is written as such.
    #[serde(default)]
    pub claims: Names<At<String>>,
    #[serde(default)]
    pub signature: Signature,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct ForgeCall {
    forge_jwt: ForgeFile,
}

impl<'de> Deserialize<'de> for ValueFile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        enum Either {
            Text(String),
            Forge(Box<ForgeFile>),
        }
        struct EitherVisitor;
        impl<'de> serde::de::Visitor<'de> for EitherVisitor {
            type Value = Either;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("text, or forge_jwt: {from: …}")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Either, E> {
                Ok(Either::Text(text.to_owned()))
            }
            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Either, E> {
                Ok(Either::Text(value.to_string()))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Either, E> {
                Ok(Either::Text(value.to_string()))
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Either, E> {
                Ok(Either::Text(value.to_string()))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Either, A::Error> {
                let call = ForgeCall::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Either::Forge(Box::new(call.forge_jwt)))
            }
        }
        struct Inner(Either);
        impl<'de> Deserialize<'de> for Inner {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(EitherVisitor).map(Inner)
            }
        }
        let at = At::<Inner>::deserialize(deserializer)?;
        let place = at.with(());
        Ok(match at.value.0 {
            Either::Text(text) => ValueFile::Text(place.with(text)),
            Either::Forge(forge) => ValueFile::Forge(forge),
        })
    }
}

impl JsonSchema for ValueFile {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let call = generator.subschema_for::<ForgeCall>();
        schemars::json_schema!({ "anyOf": [{ "type": ["string", "number", "boolean"] }, call] })
    }
}

/// A flow of grantproof: named steps with the parameters that a correct client sends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowFile {
    pub flow: At<String>,
    /// Drawn anew in each trial, for each session.
    #[serde(default)]
    pub vars: Names<At<String>>,
    pub steps: Names<FlowStepFile>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowStepFile {
    pub send: StepKind,
    /// The client that sends it, where that is not the session's.
    pub client: Option<ClientRole>,
    /// A probe's failure does not fail the control.
    #[serde(default)]
    pub probe: bool,
    /// Which place a `resource_request` asks.
    #[serde(default)]
    pub at: ResourcePlace,
    /// The HTTP method of an `endpoint_request`, where that is not POST.
    pub method: Option<String>,
    /// The media type of its body, where that is no form.
    pub content_type: Option<String>,
    /// Its client authentication, where that is not the client's own.
    pub authenticate: Option<AuthenticateFile>,
    #[serde(default)]
    pub params: Names<At<String>>,
    /// Headers, which an attack changes like parameters.
    #[serde(default)]
    pub headers: Names<At<String>>,
}
