//! An issuer of tokens: a key that signs, and a page with its public half.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// It signs with ES256 (RFC 7518 section 3.4).
pub(crate) struct Issuer {
    key: EcdsaKeyPair,
    /// Where its keys are.
    pub(crate) jwks: SocketAddr,
}

impl Issuer {
    /// Makes a key and serves its public half (RFC 7517) until the test ends.
    pub(crate) async fn open() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        // An uncompressed point: a mark, then both coordinates of 32 bytes each.
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let coordinate = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        let jwks = json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "one", "x": coordinate(x), "y": coordinate(y),
        }] })
        .to_string();
        let page = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{jwks}",
            jwks.len()
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut request = [0; 4096];
                if tcp.read(&mut request).await.is_ok() {
                    let _ = tcp.write_all(page.as_bytes()).await;
                }
            }
        });
        Self { key, jwks: address }
    }

    /// A token with these claims and an expiry so many seconds from now (RFC 7519).
    pub(crate) fn token(&self, subject: &str, audience: &str, expires_in_s: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "iss": "https://login.example.com/", "sub": subject, "aud": audience,
            "exp": i64::try_from(now).unwrap() + expires_in_s,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed =
            format!("{}.{}", part(&json!({ "alg": "ES256", "typ": "JWT", "kid": "one" })), part(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
