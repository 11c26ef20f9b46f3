//! The certificates that the client trusts, and the one that it shows.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{Origin, Patient, placed};
use crate::{
    chain::{self, Certificate},
    doctor::rules::{AUTHORITY, CERTIFICATE},
    finding::{Finding, Ground::Proven, Rule},
    time::Instant,
};

const CA: &str = "NODE_EXTRA_CA_CERTS";
const CERT: &str = "CLAUDE_CODE_CLIENT_CERT";
const KEY: &str = "CLAUDE_CODE_CLIENT_KEY";
const PASSPHRASE: &str = "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE";

/// Looks at the files.
pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(set) = patient.variable(CA) {
        let finding = authorities(Path::new(&set.value));
        findings.push(placed(finding, set.origin, &["env", CA]));
    }
    match (patient.variable(CERT), patient.variable(KEY)) {
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            let has_passphrase = patient.variable(PASSPHRASE).is_some();
            let pair = pair(Path::new(&certificate.value), Path::new(&key.value), has_passphrase);
            findings.push(placed(pair, certificate.origin, &["env", CERT]));
        }
        (Some(one), None) => findings.push(half(CERT, KEY, one.origin)),
        (None, Some(one)) => findings.push(half(KEY, CERT, one.origin)),
    }
    findings
}

fn half(set: &str, missing: &str, origin: Origin<'_>) -> Finding {
    let says = format!("{set} is set and {missing} is not");
    let finding = Finding::fail(&CERTIFICATE, Proven, says).cure(format!("Set {missing} too, or neither."));
    placed(finding, origin, &["env", set])
}

/// Bundles hold old ones too, so one that is good is enough.
fn authorities(path: &Path) -> Finding {
    let read = match read(&AUTHORITY, path) {
        Ok(read) => read,
        Err(finding) => return *finding,
    };
    let good = read.iter().filter(|one| is_good(one)).count();
    let says = format!("{CA} names a file with {} certificates, {good} of which are good now", read.len());
    let finding = match good {
        0 => Finding::fail(&AUTHORITY, Proven, says)
            .cure("Get the certificate that is in use now from whoever runs the gateway or the proxy."),
        _ => Finding::pass(&AUTHORITY, Proven, says),
    };
    // A bundle has hundreds.
    read.iter().take(3).fold(finding, |finding, one| finding.with("certificate", one.line()))
}

fn is_good(one: &Certificate) -> bool {
    let now = Instant::now().unix_ms();
    one.good_from <= now && now <= one.good_until
}

/// The certificates of a file.
fn read(rule: &'static Rule, path: &Path) -> Result<Vec<Certificate>, Box<Finding>> {
    let fail = |says: String, cure: &str| Err(Box::new(Finding::fail(rule, Proven, says).cure(cure)));
    let shown = path.display();
    let ders = match CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(ders) => ders,
        Err(error) => {
            return fail(
                format!("{shown} can not be used: {error}"),
                "Name a readable file of certificates in PEM.",
            );
        }
    };
    let read = chain::read(&ders);
    if read.is_empty() {
        let cure = "It has to hold certificates in PEM: -----BEGIN CERTIFICATE-----.";
        return fail(format!("{shown} holds no certificate"), cure);
    }
    Ok(read)
}

fn pair(certificate: &Path, key: &Path, has_passphrase: bool) -> Finding {
    let read = match read(&CERTIFICATE, certificate) {
        Ok(read) => read,
        Err(finding) => return *finding,
    };
    let fail = |says: String, cure: &str| Finding::fail(&CERTIFICATE, Proven, says).cure(cure);
    if let Some(past) = read.first().filter(|own| !is_good(own)) {
        let (from, until) = (chain::day(past.good_from), chain::day(past.good_until));
        let says = format!("the certificate of {} is good from {from} until {until}", past.subject);
        return fail(says, "Have it renewed by whoever gave it out.");
    }
    let mode = match fs::metadata(key) {
        Ok(about) => about.permissions().mode() & 0o777,
        Err(error) => {
            return fail(format!("{} can not be used: {error}", key.display()), "Name the file of the key.");
        }
    };
    if mode & 0o077 != 0 {
        let says = format!("{} can be read by others (mode {mode:o})", key.display());
        return fail(says, &format!("chmod 600 {}", key.display()));
    }
    let private = match PrivateKeyDer::from_pem_file(key) {
        Ok(private) => private,
        Err(_) if has_passphrase => {
            return Finding::unknown(
                &CERTIFICATE,
                "the key has a passphrase, so it is not known whether it fits",
            );
        }
        Err(error) => {
            let says = format!("{} can not be used: {error}", key.display());
            return fail(
                says,
                &format!("It has to hold a private key in PEM; for one with a passphrase set {PASSPHRASE}."),
            );
        }
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let fits = chain.is_ok_and(|chain| belongs(chain, private));
    if !fits {
        let cure = "Name the key with which this certificate was asked for.";
        return fail(format!("the key of {KEY} is not the one of the certificate"), cure);
    }
    let own = read.first().map(Certificate::line).unwrap_or_default();
    Finding::pass(&CERTIFICATE, Proven, "certificate and key belong together").with("certificate", own)
}

fn belongs(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> bool {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.is_ok_and(|builder| {
        builder.with_root_certificates(RootCertStore::empty()).with_client_auth_cert(chain, key).is_ok()
    })
}
