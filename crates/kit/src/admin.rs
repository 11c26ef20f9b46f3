//! The admin API of the gateway that runs with a data folder, as the commands ask it.

use crate::{
    cli::Access,
    fault::Fault,
    http::{self, HttpFault},
    source::Source,
};
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long an answer may take to begin, and then to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a report, which the gateway adds up from its ledger.
const REPORT_PATIENCE: Duration = Duration::from_secs(60);

/// A running gateway, and the right to administer it.
pub(crate) struct Admin {
    address: SocketAddr,
    /// Its process, where the data folder names it.
    pid: Option<u32>,
    token: String,
}

/// The variable that may hold the credential of an operator.
const TOKEN_VARIABLE: &str = "TOLLGATE_ADMIN_TOKEN";

/// What a change expects to find (RFC 9110, section 13.1), so that nobody overwrites what they have not seen.
pub(crate) enum Expect<'e> {
    /// Nothing there.
    Absent,
    /// The state with this entity tag.
    Exactly(&'e str),
}

/// The file that a running gateway keeps in its data folder.
#[derive(Deserialize)]
struct Instance {
    admin: String,
    token: String,
    pid: u32,
}

/// The envelope of a refusal.
#[derive(Deserialize)]
struct Envelope {
    error: Refusal,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// A part of a list.
#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    /// What to ask for the next part with; none in the last one.
    next: Option<String>,
}

impl Admin {
    /// The gateway that the command line means, as whoever it says.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreadable`], [`Fault::NoInstance`], [`Fault::Instance`].
    pub(crate) fn reach(access: &Access) -> Result<Self, Fault> {
        let own = match &access.admin_token_file {
            Some(file) => Some(Source::read(file)?.text),
            None => std::env::var(TOKEN_VARIABLE).ok(),
        };
        let own = own.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        match (access.admin, own) {
            (Some(address), Some(token)) => Ok(Self { address, pid: None, token }),
            (None, Some(token)) => Ok(Self { token, ..Self::of(&access.data.path)? }),
            (None, None) => Self::of(&access.data.path),
            // The credential of the local gateway is not sent to whatever listens elsewhere.
            (Some(_), None) => Err(Fault::Unfit {
                what: "--admin",
                rule: "another address needs a credential of your own".to_owned(),
                cure: format!("put it into {TOKEN_VARIABLE}, or into a file that --admin-token-file names."),
            }),
        }
    }

    /// The gateway at an address, for what needs no credential.
    pub(crate) fn unknown_at(address: SocketAddr) -> Self {
        Self { address, pid: None, token: String::new() }
    }

    /// Finds the gateway that runs with this data folder.
    ///
    /// # Errors
    ///
    /// [`Fault::NoInstance`], [`Fault::Instance`].
    pub(crate) fn of(data: &Path) -> Result<Self, Fault> {
        let path = data.join("instance.json");
        let text = std::fs::read_to_string(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => Fault::NoInstance { data: data.to_owned() },
            _ => Fault::Instance { path: path.clone(), why: cause.to_string() },
        })?;
        Self::parse(&text).map_err(|why| Fault::Instance { path: PathBuf::from(&path), why: why.to_owned() })
    }

    /// The text of a fault never repeats what it could not read, since that holds the token.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let instance: Instance =
            serde_json::from_str(text).map_err(|_| "it is not what a gateway writes there")?;
        let address = instance.admin.strip_prefix("http://").unwrap_or_default();
        let address = address.parse().map_err(|_| "it names no address")?;
        Ok(Self { address, pid: Some(instance.pid), token: instance.token })
    }

    /// Asks for something.
    ///
    /// # Errors
    ///
    /// [`Fault::Silent`], [`Fault::Strange`], [`Fault::Refused`].
    pub(crate) async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.exchange(Method::GET, path, None, Bytes::new(), PATIENCE).await
    }

    /// Asks for all of a list, page by page.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let query = next.map_or_else(
                || "?limit=1000".to_owned(),
                |next| format!("?limit=1000&after={}", escaped(&next)),
            );
            let page: Page<T> = self.fetch(&format!("{path}{query}")).await?;
            all.extend(page.data);
            next = page.next;
            if next.is_none() {
                return Ok(all);
            }
        }
    }

    /// Asks for a text, and takes it to the byte as it comes.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub(crate) async fn text(&self, path: &str) -> Result<String, Fault> {
        let body = self.send(Method::GET, path, None, Bytes::new(), REPORT_PATIENCE).await?;
        String::from_utf8(body.to_vec()).map_err(|error| self.strange(&error))
    }

    /// Asks for what may be too long to hold, and is taken with [`Self::next_part`].
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub(crate) async fn open(&self, path: &str) -> Result<Incoming, Fault> {
        self.begin(Method::GET, path, None, Bytes::new(), REPORT_PATIENCE).await
    }

    /// The next bytes of an answer; none after the last ones.
    ///
    /// # Errors
    ///
    /// [`Fault::Silent`].
    pub(crate) async fn next_part(&self, answer: &mut Incoming) -> Result<Option<Bytes>, Fault> {
        http::next(answer, REPORT_PATIENCE).await.map_err(|cause| self.silent(cause))
    }

    /// Asks for a report over the ledger, and waits longer for it.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub(crate) async fn report<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.exchange(Method::GET, path, None, Bytes::new(), REPORT_PATIENCE).await
    }

    /// Asks for a change.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        path: &str,
        wish: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(wish).map_err(|error| self.strange(&error))?;
        self.exchange(Method::POST, path, None, body.into(), REPORT_PATIENCE).await
    }

    /// Puts something in its place, if that is as expected.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        expect: Expect<'_>,
        wish: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(wish).map_err(|error| self.strange(&error))?;
        self.exchange(Method::PUT, path, Some(expect), body.into(), PATIENCE).await
    }

    /// Takes something away.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub(crate) async fn remove(&self, path: &str) -> Result<(), Fault> {
        let _gone: Value = self.exchange(Method::DELETE, path, None, Bytes::new(), PATIENCE).await?;
        Ok(())
    }

    /// Takes what the gateway said for what it describes.
    ///
    /// # Errors
    ///
    /// [`Fault::Strange`].
    pub(crate) fn read<T: DeserializeOwned>(&self, value: Value) -> Result<T, Fault> {
        serde_json::from_value(value).map_err(|error| self.strange(&error))
    }

    /// The same for a list.
    ///
    /// # Errors
    ///
    /// [`Fault::Strange`].
    pub(crate) fn read_all<T: DeserializeOwned>(&self, values: Vec<Value>) -> Result<Vec<T>, Fault> {
        values.into_iter().map(|value| self.read(value)).collect()
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        expect: Option<Expect<'_>>,
        body: Bytes,
        patience: Duration,
    ) -> Result<T, Fault> {
        let body = self.send(method, path, expect, body, patience).await?;
        // An answer without content (RFC 9110, section 15.3.5) says that it is done, which is all that was asked.
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|error| self.strange(&error))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        expect: Option<Expect<'_>>,
        body: Bytes,
        patience: Duration,
    ) -> Result<Bytes, Fault> {
        let answer = self.begin(method, path, expect, body, patience).await?;
        http::read(answer, patience).await.map_err(|cause| self.silent(cause))
    }

    /// The body of an answer that is no refusal, before it has come.
    async fn begin(
        &self,
        method: Method,
        path: &str,
        expect: Option<Expect<'_>>,
        body: Bytes,
        patience: Duration,
    ) -> Result<Incoming, Fault> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json");
        request = match expect {
            None => request,
            Some(Expect::Absent) => request.header(IF_NONE_MATCH, "*"),
            Some(Expect::Exactly(etag)) => request.header(IF_MATCH, etag),
        };
        let request = request.body(Full::new(body)).map_err(|error| self.strange(&error))?;
        let answer = http::send(self.address, request, patience).await;
        let answer = answer.map_err(|cause| self.silent(cause))?;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        let status = answer.status();
        let body = http::read(answer.into_body(), patience).await.map_err(|cause| self.silent(cause))?;
        Err(self.refused(status, &body))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Fault {
        match serde_json::from_slice::<Envelope>(body) {
            Ok(envelope) => Fault::Refused { status: status.as_u16(), message: envelope.error.message },
            Err(_) => self.strange(&format!("status {status}")),
        }
    }

    fn silent(&self, cause: HttpFault) -> Fault {
        Fault::Silent { admin: self.address.to_string(), pid: self.pid, cause }
    }

    /// The gateway said something that this command does not understand.
    pub(crate) fn strange(&self, why: &impl ToString) -> Fault {
        Fault::Strange { admin: self.address.to_string(), why: why.to_string() }
    }
}

/// A name as one segment of a path. What has other characters than names and ids have is neither and names nothing,
/// also with dashes in their place.
pub(crate) fn segment(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '@' | '-');
    let segment: String = name.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    // The two segments that a path does not keep.
    if matches!(segment.as_str(), "." | "..") { "-".to_owned() } else { segment }
}

/// A value of a query: everything but what no URL gives a meaning (RFC 3986, section 2.3) is escaped.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_file_is_read_or_refused_without_repeating_it() {
        let good = r#"{"admin":"http://127.0.0.1:9","token":"canary","pid":7}"#;
        let admin = Admin::parse(good).map_err(str::to_owned).ok().unwrap();
        assert_eq!((admin.address.port(), admin.pid, admin.token.as_str()), (9, Some(7), "canary"));
        for bad in [
            "",
            "{}",
            r#"{"admin":"127.0.0.1:9","token":"canary","pid":7}"#,
            r#"{"admin":"http://localhost","token":"canary","pid":7}"#,
            r#"{"admin":"http://127.0.0.1:9","token":"canary"}"#,
        ] {
            let why = Admin::parse(bad).err().unwrap();
            assert!(!why.contains("canary"), "{why}");
        }
    }

    #[test]
    fn what_stands_in_a_url_changes_nothing_else_of_it() {
        for (name, expected) in [
            ("platform-month", "platform-month"),
            ("ada@example.org", "ada@example.org"),
            ("../usage?by=team", "..-usage-by-team"),
            ("a/b#c%2f", "a-b-c-2f"),
            ("..", "-"),
            (".", "-"),
            ("", ""),
        ] {
            assert_eq!(segment(name), expected, "{name}");
        }
        assert_eq!(escaped("key_1/a b&c=\u{e4}"), "key_1%2Fa%20b%26c%3D%C3%A4");
    }
}
