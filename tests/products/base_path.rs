//! An upstream whose URL has a path. Caddy refuses one.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate_acceptance::post;

use crate::envoy::ENVOY;
use crate::haproxy::HAPROXY;
use crate::nginx::NGINX;
use crate::stage::{ADA, make};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":9,"messages":[]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_path_of_the_upstream_comes_before_that_of_a_request() {
    let key = format!("x-api-key: {ADA}");
    for product in [&NGINX, &HAPROXY, &ENVOY] {
        let serving = make(product, &format!("http://{}/some/base", mirror().await), "").serve().await;
        for target in ["/v1/messages?beta=true&x=%2F", "/v1/messages/count_tokens?beta=true"] {
            let answer = post(serving.address(), target, &[&key], BODY).await;
            assert_eq!(
                (answer.status, answer.text()),
                (200, format!("/some/base{target}")),
                "{}",
                product.target
            );
        }
    }
}

/// A server that answers each request with its target.
async fn mirror() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(answer(tcp));
        }
    });
    address
}

async fn answer(mut tcp: TcpStream) {
    let (mut request, mut buffer) = (String::new(), [0; 4096]);
    while !request.ends_with(BODY) {
        match tcp.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => request.push_str(std::str::from_utf8(&buffer[..n]).unwrap()),
        }
    }
    let target = request.split(' ').nth(1).unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", target.len());
    let _ = tcp.write_all(format!("{head}{target}").as_bytes()).await;
}
