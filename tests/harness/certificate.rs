//! Certificates for tests: an authority made for the occasion, and a server that it vouches for.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Files in PEM: the authority's certificate, and a server's certificate and key for `localhost` and `127.0.0.1`.
pub struct Certificate {
    pub authority: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    pub fn make(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate with the name of its issuer for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "An authority for one test");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let server_key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = CertificateParams::new(names).unwrap().signed_by(&server_key, &authority).unwrap();
        let files = Certificate {
            authority: folder.join("authority.pem"),
            cert: folder.join("server.pem"),
            key: folder.join("server.key"),
        };
        std::fs::write(&files.authority, authority.pem()).unwrap();
        std::fs::write(&files.cert, server.pem()).unwrap();
        std::fs::write(&files.key, server_key.serialize_pem()).unwrap();
        files
    }

    /// Lines for a gateway's `listen` that make it speak TLS.
    pub fn listen(&self) -> String {
        format!("tls:\n  cert: {}\n  key: {}", self.cert.display(), self.key.display())
    }
}
