//! The admin API of the gateway that runs with a data folder, as the commands ask it.

use crate::{
    fault::Fault,
    http::{self, HttpFault},
};
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// A running gateway, and the right to administer it: whoever may read its data folder has that.
pub(crate) struct Admin {
    address: SocketAddr,
    pid: u32,
    token: String,
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

impl Admin {
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
        Ok(Self { address, pid: instance.pid, token: instance.token })
    }

    /// Asks for something.
    ///
    /// # Errors
    ///
    /// [`Fault::Silent`], [`Fault::Strange`], [`Fault::Refused`].
    pub(crate) async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.exchange(Method::GET, path, Bytes::new()).await
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
        self.exchange(Method::POST, path, body.into()).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Fault> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.strange(&error))?;
        let answer = http::send(self.address, request).await.map_err(|cause| self.silent(cause))?;
        let status = answer.status();
        let body = http::read(answer.into_body()).await.map_err(|cause| self.silent(cause))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| self.strange(&error));
        }
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

    fn strange(&self, why: &impl ToString) -> Fault {
        Fault::Strange { admin: self.address.to_string(), why: why.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_file_is_read_or_refused_without_repeating_it() {
        let good = r#"{"admin":"http://127.0.0.1:9","token":"canary","pid":7}"#;
        let admin = Admin::parse(good).map_err(str::to_owned).ok().unwrap();
        assert_eq!((admin.address.port(), admin.pid, admin.token.as_str()), (9, 7, "canary"));
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
}
