//! A certificate authority for one test.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A gateway's certificate for `127.0.0.1` and `localhost`, and the authority that signed it.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A certificate with the name of its issuer would count as signed by itself.
        params.distinguished_name.push(DnType::CommonName, "An authority for one test");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("ca.pem", authority.pem()), ("cert.pem", leaf.pem()), ("key.pem", key.serialize_pem())]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Authority { folder }
    }

    /// What clients are told to trust.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Lines for the gateway's `listen` that make it speak TLS.
    pub(crate) fn listen(&self) -> String {
        let file = |name: &str| Path::new(self.folder.path()).join(name).display().to_string();
        format!("tls:\n  cert: {}\n  key: {}\n", file("cert.pem"), file("key.pem"))
    }
}
