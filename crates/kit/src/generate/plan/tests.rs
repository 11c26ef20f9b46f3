use super::*;

fn read(text: &str) -> Result<Plan, Fault> {
    Plan::read(Some(&Source { name: "plan.yaml".to_owned(), text: text.to_owned() }))
}

#[test]
fn the_example_says_what_the_defaults_are() {
    assert_eq!(read(EXAMPLE).unwrap(), Plan::read(None).unwrap());
}

#[test]
fn every_comment_of_the_example_that_is_a_field_can_be_taken_in() {
    let oidc = EXAMPLE.replace("    - name: team\n      key: env:GATEWAY_KEY\n", "").replace("  keys:\n", "");
    let taken = oidc.replace("models: []\n", "").lines().fold(String::new(), |text, line| {
        let (indent, comment) = line.split_once("# ").unwrap_or((line, ""));
        let is_field = comment.split_whitespace().next().is_some_and(|word| word.ends_with(':'));
        let line = if is_field { format!("{indent}{comment}") } else { indent.to_owned() };
        text + &line + "\n"
    });
    let plan = read(&taken).unwrap();
    assert!(
        plan.tls.is_some() && matches!(plan.admits(), Admits::Tokens(_)) && plan.models.len() == 3,
        "{taken}"
    );
    assert_eq!(plan.client_url(), "https://claude.example.com");
}

#[test]
fn every_problem_is_told_with_its_place_and_its_cure() {
    let texts = [
        "limits: { request_per_minute: 5 }\nlisten: 8080\nupstream:\n  key: sk-ant-api03-canary-canary-canary\n",
        "auth:\n  keys:\n    - { name: ada, key: env:A }\n    - { name: ada, key: env:A }\n",
        "auth:\n  keys: [{ name: ada, key: env:A }]\n  oidc: { issuer: example, audience: 'a b', jwks: https://a }\n",
        "tls: { cert: '/etc/a b.pem', key: '/etc/\"; drop' }\nupstream: { url: 'https://a/$b;c' }\n",
        "body_mb: 0\ntimeout_s: 86400\n",
        "upstream: { url: 'https://a;include/x', key: 'file:/run/..' }\nurl: 'https://a/$(id)'\nmodels: ['claude-*', 'a\"b']\n",
        "auth:\n  oidc: { issuer: 'https://a;b', audience: b, jwks: 'https://a/\"' }\n",
        "client: { credential_command: \"a\\nb\" }\n",
        "client: { credential_command: ' ' }\n",
    ];
    let told: Vec<String> = texts.iter().map(|text| read(text).unwrap_err().to_string()).collect();
    let told = told.join("\n\n");
    assert!(!told.contains("canary"), "{told}");
    insta::assert_snapshot!(told);
}

#[test]
fn files_of_secrets_get_variables_that_nothing_else_relies_on() {
    let rows = [
        ("env:ADA_KEY", "ADA_KEY"),
        ("file:/run/secrets/ada.key", "KEY_ADA"),
        ("file:/run/1-a", "KEY_1_A"),
        ("file:/run/path", "KEY_PATH"),
        ("file:/run/ld_preload.txt", "KEY_LD_PRELOAD"),
    ];
    for (secret, named) in rows {
        assert_eq!(variable(&secret.parse().unwrap()), named, "{secret}");
    }
}

#[test]
fn the_plan_of_the_guide_is_one() {
    let guide = include_str!("../../../../../docs/guide/generating.md");
    let text = guide.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(read(text).unwrap().secrets().len(), 3);
}
