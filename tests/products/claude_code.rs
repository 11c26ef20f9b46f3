//! Claude Code through the products that `tollgate generate` makes configurations for.

use std::time::Duration;

use tollgate_acceptance::claude::Claude;
use tollgate_acceptance::house::UPSTREAM_KEY;
use tollgate_acceptance::loopback;

use crate::caddy::CADDY;
use crate::envoy::ENVOY;
use crate::haproxy::HAPROXY;
use crate::nginx::NGINX;
use crate::stage::{ADA, Product, api, make};

/// Far below the three minutes for which Claude Code tries again when it is left to itself.
const AT_ONCE: Duration = Duration::from_secs(30);

#[test]
#[ignore = "long: run by `make acceptance`"]
fn claude_code_works_through_nginx() {
    loopback::run(async { works(&NGINX).await });
}

#[test]
#[ignore = "long: run by `make acceptance`"]
fn claude_code_works_through_haproxy() {
    loopback::run(async { works(&HAPROXY).await });
}

#[test]
#[ignore = "long: run by `make acceptance`"]
fn claude_code_works_through_envoy() {
    loopback::run(async { works(&ENVOY).await });
}

#[test]
#[ignore = "long: run by `make acceptance`"]
fn claude_code_works_through_caddy() {
    loopback::run(async { works(&CADDY).await });
}

/// A prompt, a loop of tools, a stream that breaks, and a key that nobody has.
async fn works(product: &'static Product) {
    let api = api().await;
    let serving = make(product, &api.url(), "").serve().await;
    let claude = || Claude::at(&format!("http://{}", serving.address()));
    let member = claude().with("ANTHROPIC_AUTH_TOKEN", ADA).arguments(&["--allowedTools", "Bash"]);
    // What the shell makes of it is not in the prompt.
    let tools =
        r#"[[sim: tool=Bash:{"command":"echo tolls-$((40+2))","description":"count"};turns=3;thinking]]"#;
    let cut = "[[sim: size=4kb;events=20;cut;times=1]]";
    let rows = [
        ("[[sim: text=good day]]", "good day", 1),
        (tools, "tolls-42", 4),
        // It asks again, and nothing of the first answer is left.
        (cut, "Hello from the Tollgate simulator.", 2),
    ];
    for (prompt, said, requests) in rows {
        api.record().clear();
        let done = member.ask(prompt).await;
        assert!(done.code == 0 && done.stdout.contains(said), "{prompt}: {done:#?}");
        api.record().idle().await;
        let seen = api.record().requests();
        assert_eq!(seen.len(), requests, "{prompt}: {seen:#?}");
        for one in &seen {
            assert_eq!(one.target, "/v1/messages?beta=true");
            assert_eq!(one.header("x-api-key"), Some(UPSTREAM_KEY));
            assert_eq!(one.header("x-claude-code-session-id"), seen[0].header("x-claude-code-session-id"));
            assert!(!one.headers.iter().any(|(_, value)| value.contains(ADA)), "{:?}", one.headers);
        }
    }
    api.record().clear();
    let done = claude().with("ANTHROPIC_AUTH_TOKEN", "gw-nobodys").ask("Hello").await;
    assert!(done.stdout.starts_with("Failed to authenticate. API Error: 401 "), "{done:#?}");
    assert!(done.code == 1 && done.took < AT_ONCE, "{done:#?}");
    assert!(api.record().requests().is_empty());
    assert!(!serving.log().contains(ADA), "the log holds a key");
}
