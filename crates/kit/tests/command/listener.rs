//! Small servers on free ports that behave as a test wants. They end with the process.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, server::WebPkiClientVerifier};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};

/// No exchange of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A byte stream.
pub(crate) trait Io: Read + Write + Send {}

impl<T: Read + Write + Send> Io for T {}

/// Serves each connection by this function, in a thread of its own.
pub(crate) fn listen(at: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(at).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Answers each request, given whole as text, by what this function makes of it, and closes.
pub(crate) fn http(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    listen("127.0.0.1:0", move |mut stream| exchange(&mut stream, &answer))
}

/// One exchange.
pub(crate) fn exchange(stream: &mut dyn Io, answer: &dyn Fn(&str) -> String) {
    if let Some(request) = request(stream) {
        // A client that has left is not told.
        let _ = stream.write_all(answer(&request).as_bytes()).and_then(|()| stream.flush());
    }
}

/// Reads a request with its body. None if the other side closes before its end.
pub(crate) fn request(stream: &mut dyn Io) -> Option<String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).ok()?;
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).ok()?)
}

/// An answer with this status, these header lines, and this body.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    let lines: String = headers.lines().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    format!("HTTP/1.1 {status} Said\r\n{lines}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// The API's error envelope.
pub(crate) fn envelope(kind: &str, message: &str) -> String {
    format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#)
}

/// A server's certificate for `127.0.0.1`, good in these years, and the authority that made it.
pub(crate) struct Identity {
    config: Arc<ServerConfig>,
    /// The authority, in PEM.
    pub(crate) authority: String,
}

impl Identity {
    pub(crate) fn new(authority: &str, years: (i32, i32)) -> Self {
        Self::make(authority, years, false)
    }

    /// The same for a server that lets in whoever shows a certificate of this authority, too.
    pub(crate) fn demanding(authority: &str, years: (i32, i32)) -> Self {
        Self::make(authority, years, true)
    }

    fn make(authority: &str, years: (i32, i32), demands: bool) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, authority);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        own.distinguished_name = rcgen::DistinguishedName::new();
        own.distinguished_name.push(DnType::CommonName, "gateway");
        own.not_before = date_time_ymd(years.0, 1, 1);
        own.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = own.signed_by(&key, &issuer).unwrap();
        let private = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut clients = RootCertStore::empty();
        clients.add(issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider.clone());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = match demands {
            true => builder.with_client_cert_verifier(verifier.build().unwrap()),
            false => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(vec![certificate.der().clone()], private).unwrap();
        Self { config: Arc::new(config), authority: issuer.pem() }
    }

    /// Speaks TLS over a connection.
    pub(crate) fn over(&self, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        StreamOwned::new(ServerConnection::new(Arc::clone(&self.config)).unwrap(), stream)
    }
}

/// Copies both ways until one side ends.
pub(crate) fn join(one: TcpStream, other: TcpStream) {
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        thread::spawn(move || {
            // Either side may go.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        })
    };
    let back = copy(other.try_clone().unwrap(), one.try_clone().unwrap());
    let _ = copy(one, other).join();
    let _ = back.join();
}
