//! Headers that a gateway demands besides the credential.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use tokio::runtime::Runtime;
use tollgate_simulator::zoo::{Animal, Cage, Terms};

use crate::{
    listener::{answer, envelope, listen},
    run::{Ran, ran, tollgate},
};

const TOKEN: &str = "canary-client-0123456789";
const SUBSCRIPTION: &str = "canary-subscription-0123456789";

/// A server before a gateway that refuses connections whose first request lacks one of these lines in its head.
fn demanding(gateway: SocketAddr) -> SocketAddr {
    listen("127.0.0.1:0", move |mut client| {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            if client.read_exact(&mut byte).is_err() {
                return;
            }
            head.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&head);
        let demands = ["\r\nx-tenant: payments\r\n", &format!("\r\nx-subscription-key: {SUBSCRIPTION}\r\n")];
        if !demands.iter().all(|line| text.contains(line)) {
            let refused = envelope("permission_error", "Which tenant?");
            let _ = client.write_all(answer(403, "content-type: application/json", &refused).as_bytes());
            return;
        }
        let mut upstream = TcpStream::connect(gateway).unwrap();
        upstream.write_all(&head).unwrap();
        let (mut from_client, mut to_upstream) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
        thread::spawn(move || {
            let _ = io::copy(&mut from_client, &mut to_upstream);
            let _ = to_upstream.shutdown(Shutdown::Both);
        });
        let _ = io::copy(&mut upstream, &mut client);
        let _ = client.shutdown(Shutdown::Both);
    })
}

/// A command of the kit before this gateway, with these headers.
fn kit(command: &[&str], url: &str, more: &[&str]) -> Ran {
    let mut kit = tollgate(command);
    kit.args(["--url", url, "--token-env", "CHECK_TOKEN"]).args(more).env("NO_PROXY", "*");
    kit.env("CHECK_TOKEN", TOKEN).env("SUBSCRIPTION", SUBSCRIPTION);
    let ran = ran(kit.output().unwrap());
    let said = format!("{}{}", ran.out, ran.err);
    assert!(!said.contains("canary") && !said.contains("panicked"), "{said}");
    ran
}

const EXTRAS: [&str; 4] =
    ["--header", "X-Tenant: payments", "--header-env", "x-subscription-key=SUBSCRIPTION"];

#[test]
fn a_gateway_that_demands_more_headers_is_checked_with_them() {
    let runtime = Runtime::new().unwrap();
    let probe = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let terms = Terms { client_tokens: vec![TOKEN.to_owned()], ..Terms::default() };
    let faithful = Animal::named("faithful").unwrap();
    let cage = runtime.block_on(Cage::start_on(faithful, probe, terms)).unwrap();
    let url = format!("http://{}", demanding(cage.addr()));
    let probe = probe.to_string();
    let probed = ["--probe-listen", &probe, "--model", "claude-haiku-5-5"];
    let few = ["--rpm", "10", "--window", "1s"];
    let commands: [(&[&str], Vec<&str>, &str); 4] = [
        (&["check"], probed.to_vec(), "Gateway is COMPATIBLE"),
        (&["check", "headers"], probed.to_vec(), "PASS - Header Forwarding: All required"),
        (&["check", "rate-limit"], [&probed[..], &few].concat(), "no limit found up to 40 requests"),
        (&["doctor", "auth"], vec!["--model", "claude-haiku-5-5"], "the gateway accepts it"),
    ];
    for (command, more, says) in commands {
        let without = kit(command, &url, &more);
        assert!(!without.out.contains(says), "{command:?}: {}{}", without.out, without.err);
        assert_ne!(without.status, 0, "{command:?}: {}{}", without.out, without.err);
        let with = kit(command, &url, &[&more[..], &EXTRAS].concat());
        assert!(with.out.contains(says), "{command:?}: {}{}", with.out, with.err);
    }
}

#[test]
fn a_header_that_can_not_be_meant_is_refused_before_anything_is_sent() {
    let url = "http://127.0.0.1:9";
    for (extra, part) in [
        (["--header", "x-api-key: canary"], "x-api-key is what this command sends itself"),
        (["--header", "canary"], "there is no colon"),
        (["--header-env", "x-subscription-key=NOT_SET"], "NOT_SET is not set"),
        (["--header-env", "x-subscription-key=canary-0123"], "no name of an environment variable"),
    ] {
        for (command, status) in [(&["check"][..], 3), (&["doctor", "auth"], 2)] {
            let refused = kit(command, url, &extra);
            assert_eq!(refused.status, status, "{extra:?}: {}", refused.err);
            assert!(refused.err.contains(part), "{extra:?}: {}", refused.err);
        }
    }
}
