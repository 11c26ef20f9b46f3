//! Whether the issuer of a token signed it: its discovery document, its keys, the signature (OpenID Connect Discovery
//! 1.0; RFC 7517; RFC 7518, section 3).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::Method;
use serde::{Deserialize, de::DeserializeOwned};
use tollgate_config::Url;

use super::{
    jwt::Jwt,
    rules::{JWT_ISSUER, JWT_SIGNATURE},
};
use crate::{
    dial::Way,
    exchange::Ask,
    finding::{Finding, Ground::Proven},
    printer::Printer,
    proxy::Proxy,
};

/// Where an issuer tells about itself.
const DISCOVERY: &str = "/.well-known/openid-configuration";

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

/// A public key as RFC 7517 writes it. What a key of its kind does not have is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Key {
    kty: String,
    kid: Option<String>,
    crv: String,
    n: String,
    e: String,
    x: String,
    y: String,
}

/// What came of a signature.
#[derive(Debug, PartialEq, Eq)]
enum Signature {
    /// It is by one of the keys.
    Good,
    /// The token is not signed.
    Absent,
    /// It is made with a shared secret, which is not published.
    Shared,
    /// Nobody here knows the algorithm.
    Strange,
    /// None of the keys has the id that the token names, or is of the kind that its algorithm needs.
    NoKey,
    /// It is by somebody else, or the token was changed.
    Bad,
}

/// Checks issuer and signature of a token. `expected` is what --issuer says; `way` lends its authorities and its patience.
/// Without --issuer the token itself says who is asked, whoever made it: so each URL is told before, and nothing of the
/// token goes there.
pub(crate) async fn check(jwt: &Jwt, expected: Option<&str>, way: &Way, printer: &Printer) -> Vec<Finding> {
    match jwt.algorithm().to_ascii_uppercase().as_str() {
        "NONE" | "" => return vec![signature(&Signature::Absent, 0)],
        text if text.starts_with("HS") => return vec![signature(&Signature::Shared, 0)],
        _ => {}
    }
    let named = jwt.issuer();
    if let (Some(expected), Some(named)) = (expected, named)
        && bare(expected) != bare(named)
    {
        let says = "`iss` is another than --issuer";
        let cure = "Get the token from the issuer that the gateway trusts; realm, tenant and path are part of its name.";
        return vec![Finding::fail(&JWT_ISSUER, Proven, says).cure(cure)];
    }
    let Some(issuer) = named.or(expected) else {
        return vec![Finding::unknown(
            &JWT_SIGNATURE,
            "the token names no issuer (`iss`), and --issuer none either",
        )];
    };
    if expected.is_none() {
        printer
            .say("the token itself names the issuer that is asked for keys; --issuer says which one may be");
    }
    match keys(issuer, way, printer).await {
        Err(finding) => vec![*finding],
        Ok(keys) => {
            let published = format!("publishes {} keys", keys.len());
            let issuer = match expected {
                Some(_) => Finding::pass(&JWT_ISSUER, Proven, format!("the issuer {published}")),
                None => Finding::unknown(
                    &JWT_ISSUER,
                    format!(
                        "the issuer that the token names {published}; --issuer says whether it is the right one"
                    ),
                ),
            };
            vec![issuer, signature(&verify(jwt, &keys), keys.len())]
        }
    }
}

/// The keys that an issuer publishes, or what to say where there are none.
async fn keys(issuer: &str, way: &Way, printer: &Printer) -> Result<Vec<Key>, Box<Finding>> {
    let unknown = |why: String| Box::new(Finding::unknown(&JWT_SIGNATURE, why));
    let fail = |says: &str, cure: &str| Box::new(Finding::fail(&JWT_ISSUER, Proven, says).cure(cure));
    let (base, path) = split(issuer).ok_or_else(|| {
        fail("the issuer is no URL", "Let the issuer name itself by the https URL of its documents.")
    })?;
    if !base.tls() && !base.is_loopback() {
        let cure = "Use an issuer with https://.";
        return Err(fail(
            "the issuer is reached without TLS, so that anybody on the way can make keys",
            cure,
        ));
    }
    let target = format!("{}{DISCOVERY}", path.trim_end_matches('/'));
    let discovery: Discovery = get(&base, &target, way, printer)
        .await
        .map_err(|why| unknown(format!("the discovery document of the issuer can not be had: {why}")))?;
    if bare(&discovery.issuer) != bare(issuer) {
        let cure =
            "Use the name that the issuer gives itself, letter by letter, at the gateway and for tokens.";
        return Err(fail("the discovery document of the issuer is one of another issuer", cure));
    }
    let (base, target) = split(&discovery.jwks_uri)
        .filter(|(base, _)| base.tls() || base.is_loopback())
        .ok_or_else(|| fail("`jwks_uri` of the issuer is no https URL", "Repair the discovery document."))?;
    let set: KeySet = get(&base, &target, way, printer)
        .await
        .map_err(|why| unknown(format!("the keys of the issuer can not be had: {why}")))?;
    Ok(set.keys)
}

/// Gets a JSON document, and tells before from where. A redirect is not followed: it may lead anywhere. The reason why
/// there is no document holds no part of a token.
async fn get<T: DeserializeOwned>(
    base: &Url,
    target: &str,
    way: &Way,
    printer: &Printer,
) -> Result<T, String> {
    printer.say(&format!("asking {base}{target} ..."));
    let proxy = Proxy::from_environment(base)?;
    let way = Way { url: base.clone(), proxy, client_certificate: None, extras: Vec::new(), ..way.clone() };
    let ask = Ask::new(Method::GET, target).header("accept", "application/json").silence(way.patience);
    let answer = ask.send(&way).await.map_err(|fault| fault.to_string())?;
    match answer.status {
        200 => {}
        status @ 300..=399 => return Err(format!("it is a redirect ({status}), which is not followed")),
        status => return Err(format!("status {status}")),
    }
    serde_json::from_slice(&answer.body()).map_err(|_| "it is not the JSON that it should be".to_owned())
}

/// Scheme, host and port of a URL, and its path with its query. None for anything else, so that it can be shown.
fn split(text: &str) -> Option<(Url, String)> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let rest = text.split_once("://")?.1;
    let at = rest.find(['/', '?']).map_or(text.len(), |at| text.len() - rest.len() + at);
    let slash = if text[at..].starts_with('?') { "/" } else { "" };
    Some((text[..at].parse().ok()?, format!("{slash}{}", &text[at..])))
}

/// Issuers differ by a slash at their end more often than on purpose.
fn bare(issuer: &str) -> &str {
    issuer.trim_end_matches('/')
}

fn verify(jwt: &Jwt, keys: &[Key]) -> Signature {
    if !["RS", "PS", "ES", "Ed"].iter().any(|family| jwt.algorithm().starts_with(family)) {
        return Signature::Strange;
    }
    let mut fitting = keys
        .iter()
        .filter(|key| jwt.key_id().is_none_or(|id| key.kid.as_deref() == Some(id)))
        .filter_map(|key| signed_by(jwt, key))
        .peekable();
    if fitting.peek().is_none() {
        Signature::NoKey
    } else if fitting.any(|good| good) {
        Signature::Good
    } else {
        Signature::Bad
    }
}

/// Whether the signature is by this key. None if the key is not of the kind that the algorithm needs.
fn signed_by(jwt: &Jwt, key: &Key) -> Option<bool> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let rsa = |parameters: &RsaParameters| {
        let key = RsaPublicKeyComponents { n: bytes(&key.n)?, e: bytes(&key.e)? };
        Some(key.verify(parameters, jwt.signed.as_bytes(), &jwt.signature).is_ok())
    };
    let curve = |algorithm: &'static dyn VerificationAlgorithm, point: Vec<u8>| {
        UnparsedPublicKey::new(algorithm, point).verify(jwt.signed.as_bytes(), &jwt.signature).is_ok()
    };
    // An uncompressed point: SEC 1, section 2.3.3.
    let point = || Some([vec![4], bytes(&key.x)?, bytes(&key.y)?].concat());
    match (jwt.algorithm(), key.kty.as_str(), key.crv.as_str()) {
        ("RS256", "RSA", _) => rsa(&RSA_PKCS1_2048_8192_SHA256),
        ("RS384", "RSA", _) => rsa(&RSA_PKCS1_2048_8192_SHA384),
        ("RS512", "RSA", _) => rsa(&RSA_PKCS1_2048_8192_SHA512),
        ("PS256", "RSA", _) => rsa(&RSA_PSS_2048_8192_SHA256),
        ("PS384", "RSA", _) => rsa(&RSA_PSS_2048_8192_SHA384),
        ("PS512", "RSA", _) => rsa(&RSA_PSS_2048_8192_SHA512),
        ("ES256", "EC", "P-256") => Some(curve(&ECDSA_P256_SHA256_FIXED, point()?)),
        ("ES384", "EC", "P-384") => Some(curve(&ECDSA_P384_SHA384_FIXED, point()?)),
        ("ES512", "EC", "P-521") => Some(curve(&ECDSA_P521_SHA512_FIXED, point()?)),
        ("EdDSA" | "Ed25519", "OKP", "Ed25519") => Some(curve(&ED25519, bytes(&key.x)?)),
        _ => None,
    }
}

fn signature(found: &Signature, keys: usize) -> Finding {
    let fail = |says: &str, cure: &str| Finding::fail(&JWT_SIGNATURE, Proven, says).cure(cure);
    match found {
        Signature::Good => Finding::pass(&JWT_SIGNATURE, Proven, "it is by a key that the issuer publishes"),
        Signature::Absent => fail(
            "the token is not signed (`alg` is none)",
            "Let the issuer sign it; a gateway that takes such a token takes everybody's.",
        ),
        Signature::Shared => Finding::unknown(
            &JWT_SIGNATURE,
            "it is made with a secret that issuer and gateway share (HS...), which nobody else can check",
        ),
        Signature::Strange => {
            Finding::unknown(&JWT_SIGNATURE, "it is by an algorithm that is not known here")
        }
        Signature::NoKey => fail(
            &format!("none of the {keys} keys that the issuer publishes is the one that the token names"),
            "Get a new token: the key was taken out of use. If new ones fail too, the issuer is another one, such as \
             that of the test environment, or a cache still holds its old keys.",
        ),
        Signature::Bad => fail(
            "it is not by the key of the issuer that the token names",
            "Copy the token again, whole. If that does not help, it was changed on its way or made by somebody else.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA384,
        },
    };

    fn signed(header: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Jwt {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(header), part(r#"{"iss":"https://id.example"}"#));
        let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
        Jwt::parse(&format!("{signed}.{signature}")).unwrap()
    }

    fn elliptic() -> (EcdsaKeyPair, Key) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (text(&point[1..33]), text(&point[33..]));
        let key =
            Key { kty: "EC".into(), kid: Some("k1".into()), crv: "P-256".into(), x, y, ..Key::default() };
        (pair, key)
    }

    #[test]
    fn signatures_on_curves_are_checked() {
        let random = SystemRandom::new();
        let (pair, key) = elliptic();
        let (_, other) = elliptic();
        let sign = |text: &[u8]| pair.sign(&random, text).unwrap().as_ref().to_vec();
        let rows = [
            (r#"{"alg":"ES256","kid":"k1"}"#, &key, Signature::Good),
            (r#"{"alg":"ES256"}"#, &key, Signature::Good),
            (r#"{"alg":"ES256","kid":"k1"}"#, &other, Signature::Bad),
            (r#"{"alg":"ES256","kid":"k2"}"#, &key, Signature::NoKey),
            (r#"{"alg":"RS256","kid":"k1"}"#, &key, Signature::NoKey),
            (r#"{"alg":"XX256","kid":"k1"}"#, &key, Signature::Strange),
        ];
        for (header, key, expected) in rows {
            assert_eq!(verify(&signed(header, sign), std::slice::from_ref(key)), expected, "{header}");
        }
        let mut changed = signed(r#"{"alg":"ES256","kid":"k1"}"#, sign);
        changed.signed.push('A');
        assert_eq!(verify(&changed, &[key]), Signature::Bad);
    }

    #[test]
    fn signatures_by_rsa_are_checked_in_both_forms() {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = pair.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        let (n, e) = (text(n.big_endian_without_leading_zero()), text(e.big_endian_without_leading_zero()));
        let key = Key { kty: "RSA".into(), n, e, ..Key::default() };
        let random = SystemRandom::new();
        for (header, form) in [
            (r#"{"alg":"RS256"}"#, &RSA_PKCS1_SHA256 as &'static dyn aws_lc_rs::signature::RsaEncoding),
            (r#"{"alg":"PS384"}"#, &RSA_PSS_SHA384),
        ] {
            let sign = |text: &[u8]| {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(form, &random, text, &mut signature).unwrap();
                signature
            };
            assert_eq!(
                verify(&signed(header, sign), std::slice::from_ref(&key)),
                Signature::Good,
                "{header}"
            );
        }
    }

    #[test]
    fn urls_are_split_before_their_path() {
        let rows = [
            ("https://id.example", "https://id.example", ""),
            ("https://id.example/a/keys?v=1", "https://id.example", "/a/keys?v=1"),
            ("http://[::1]:81/k", "http://[::1]:81", "/k"),
            ("https://id.example?v=1", "https://id.example", "/?v=1"),
        ];
        for (text, base, target) in rows {
            let (found, rest) = split(text).unwrap();
            assert_eq!((found.to_string().as_str(), rest.as_str()), (base, target), "{text}");
        }
        assert!(split("id.example/x").is_none());
        assert!(split("https://id.example/\u{1b}[2J").is_none());
    }
}
