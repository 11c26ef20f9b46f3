//! What comes of files of other gateways, good and bad ones.

use super::*;
use crate::finding::Outcome;
use tollgate_policy::unit::UnixMs;

/// 2026-11-22T11:30:00Z.
const NOW: UnixMs = UnixMs(1_795_347_000_000);
/// The shortest good configuration of LiteLLM.
const SHORT: &str =
    "model_list:\n  - model_name: m\n    litellm_params:\n      model: anthropic/claude-sonnet-4-5\n";

fn fixture(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The rules that do not hold, each with its line.
fn failed(notes: &Notes<'_>) -> Vec<(&'static str, usize)> {
    let open = notes.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Fail(_)));
    open.map(|finding| (finding.rule.id, finding.place.as_ref().unwrap().line)).collect()
}

fn litellm(text: &str) -> (Option<litellm::Litellm>, Notes<'static>) {
    let mut notes = Notes::new("config.yaml");
    (read_litellm(text, "litellm", NOW, &mut notes), notes)
}

fn keys(text: &str) -> (Option<Vec<Key>>, Notes<'static>) {
    let made = litellm(&fixture("litellm.yaml")).0.unwrap();
    let mut notes = Notes::new("keys");
    let teams = read_teams(&fixture("teams.json"), &mut Draft::default(), NOW, &mut notes).unwrap();
    notes.findings.clear();
    let known = Known { models: &made.models, teams: &teams, team: "litellm", now: NOW };
    (read_keys(text, known, &mut notes), notes)
}

#[test]
fn what_can_not_be_read_is_told_with_its_place_and_gives_no_document() {
    let twice = format!("{SHORT}general_settings: {{}}\nmodel_list: []\n");
    let deep = "[".repeat(100);
    let rows: [(&str, &str, usize); 9] = [
        ("", "import.syntax", 1),
        ("a: 1\nb: }\n", "import.syntax", 2),
        ("- a\n- b\n", "import.syntax", 1),
        ("a: 1\n---\nb: 2\n", "import.syntax", 1),
        ("\u{0}\u{1}", "import.syntax", 1),
        (&deep, "import.syntax", 1),
        ("upstreams: []\n", "import.syntax", 1),
        (&twice, "import.syntax", 6),
        (
            "model_list:\n  - model_name: m\n    litellm_params: { model: openai/gpt-4o }\n",
            "import.upstream",
            2,
        ),
    ];
    for (text, rule, line) in rows {
        let (made, notes) = litellm(text);
        let failed = failed(&notes);
        assert!(made.is_none(), "{text:?}");
        assert_eq!(failed.last(), Some(&(rule, line)), "{text:?}: {failed:?}");
        assert!(notes.findings.last().unwrap().cure.is_some());
    }
    let mut notes = Notes::new("gateway.yaml");
    assert!(read_claude_gateway(SHORT, &mut notes).is_none());
    assert_eq!(failed(&notes), [("import.syntax", 1)]);
}

#[test]
fn what_has_no_counterpart_is_named_where_it_stands() {
    let rows = [
        ("no_such_section: { a: 1 }\n", "import.field", "`no_such_section`"),
        ("litellm_settings: { no_such_setting: 1 }\n", "import.field", "`litellm_settings.no_such_setting`"),
        ("litellm_settings: { cache: true }\n", "import.replaced", "`litellm_settings.cache`"),
        ("router_settings: { model_group_alias: { a: m } }\n", "import.model", "`a` is an alias"),
        ("general_settings: { master_key: sk-canary }\n", "import.secret", "`master_key` holds a secret"),
        ("environment_variables: { X_API_KEY: canary }\n", "import.secret", "`X_API_KEY` holds a secret"),
        ("litellm_settings: { max_budget: 5 }\n", "import.budget", "has no duration"),
        ("litellm_settings: { max_budget: 5, budget_duration: 45d }\n", "import.budget", "`rolling: 45d`"),
        ("litellm_settings: { max_budget: 0 }\n", "import.replaced", "is no budget there"),
        (
            "litellm_settings: { max_internal_user_budget: 0, internal_user_budget_duration: 1d }\n",
            "import.budget",
            "nothing",
        ),
        ("litellm_settings: { timezone: Mars }\n", "import.field", "no time zone"),
        (
            "litellm_settings: { max_budget: os.environ/X }\n",
            "import.budget",
            "`max_budget` of everybody can not",
        ),
        (
            "general_settings: { max_request_size_mb: a lot }\n",
            "import.field",
            "`max_request_size_mb` can not",
        ),
        ("general_settings: { global_max_parallel_requests: -1 }\n", "import.budget", "of everybody can not"),
        ("include: [other.yaml]\n", "import.field", "`include`"),
        ("litellm_settings: { max_budget: [5] }\n", "import.budget", "`max_budget` of everybody can not"),
    ];
    for (more, rule, says) in rows {
        let (made, notes) = litellm(&format!("{SHORT}{more}"));
        let found = notes.findings.iter().find(|finding| finding.says.contains(says));
        let found = found.unwrap_or_else(|| panic!("{more}: {:?}", notes.findings));
        assert_eq!((found.rule.id, found.place.as_ref().unwrap().line), (rule, 5), "{more}");
        let text = made.unwrap().draft.text("LiteLLM", "config.yaml", &notes.findings);
        assert!(tollgate_config::load(&text, "").is_ok(), "{more}: {text}");
        assert!(!text.contains("canary") && !format!("{:?}", notes.findings).contains("canary"), "{more}");
    }
    let off = "litellm_settings: { cache: false, callbacks: [], no_such_setting: }\n";
    let (_, notes) = litellm(&format!("{SHORT}{off}"));
    assert_eq!(failed(&notes), [("import.model", 2)], "what is off is not missed");
}

#[test]
fn deployments_that_disagree_and_plain_addresses_are_told() {
    let two = "model_list:\n  - { model_name: a, litellm_params: { model: claude-a, api_base: 'http://10.0.0.7:4000/v1' } }\n  \
               - { model_name: b, litellm_params: { model: claude-b, api_key: os.environ/OTHER } }\n";
    let (made, notes) = litellm(two);
    let text = made.unwrap().draft.text("LiteLLM", "c", &[]);
    assert!(
        text.contains("url: \"http://10.0.0.7:4000\"\n") && text.contains("allow_plaintext: true"),
        "{text}"
    );
    assert!(text.contains("credential: \"env:ANTHROPIC_API_KEY\"\n"), "{text}");
    let failed = failed(&notes);
    assert!(failed.contains(&("import.other", 2)) && failed.contains(&("import.other", 3)), "{failed:?}");
}

#[test]
fn a_key_of_the_upstream_in_clear_is_told_with_the_variable_to_set() {
    let (made, notes) = litellm(&SHORT.replace("litellm_params:", "litellm_params:\n      api_key: canary"));
    let text = made.unwrap().draft.text("LiteLLM", "c", &notes.findings);
    assert!(text.contains("credential: \"env:ANTHROPIC_API_KEY\"\n") && !text.contains("canary"), "{text}");
    let set = notes.findings.iter().find(|finding| finding.says.contains("ANTHROPIC_API_KEY")).unwrap();
    assert_eq!((set.rule.id, set.place.as_ref().unwrap().line), ("import.secret", 2));
    assert!(!format!("{notes:?}").contains("canary"));
}

#[test]
fn no_text_of_the_file_becomes_a_field_of_the_document() {
    let odd = SHORT.replace("anthropic/claude-sonnet-4-5", "'claude\"}, x: { \"y'\n      rpm: 5");
    let (made, _) = litellm(&odd);
    let draft = made.unwrap().draft;
    assert_eq!(draft.grants[0].name, "model-claude----x-----y-rpm");
    let refused = tollgate_config::load(&draft.text("LiteLLM", "c", &[]), "").unwrap_err();
    assert!(refused.iter().all(|problem| !problem.rule.contains("exist")), "{refused:?}");
}

#[test]
fn a_key_comes_over_only_as_narrow_as_it_was() {
    let (keys, notes) = keys(&fixture("keys.json"));
    let keys = keys.unwrap();
    let shown: Vec<_> = keys.iter().map(|key| serde_json::to_string(&key.wish).unwrap()).collect();
    insta::assert_snapshot!(shown.join("\n"));
    let grants = keys.iter().flat_map(|key| key.limits.grants(&key.short(), "on: { key: KEY }", NOW));
    insta::assert_snapshot!(grants.map(|grant| grant.line).collect::<Vec<_>>().join("\n"));
    let kept = failed(&notes).iter().filter(|(rule, _)| *rule == "import.key").count();
    assert_eq!((keys.len(), kept), (3, 8), "{:?}", notes.findings);
    assert!(!format!("{keys:?} {:?}", notes.findings).contains("canary"));
}

#[test]
fn an_export_of_the_table_is_read_like_the_answer_of_the_api() {
    let (found, notes) = keys(&fixture("keys.csv"));
    let found = found.unwrap();
    let [key] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(key.wish.models, ["claude-haiku-4-5", "claude-sonnet-4-5"]);
    assert_eq!((key.wish.user.as_deref(), key.wish.team.as_str()), (Some("ada"), "litellm"));
    assert_eq!(key.wish.expires_at, Some(UnixMs(4_102_444_800_000)));
    assert_eq!(failed(&notes), [("import.key", 3)]);
}

#[test]
fn a_list_that_can_not_be_read_is_told_with_its_place() {
    let rows = [
        ("{\"keys\": [\"b299ff\"]}", 1, "holds something else than objects"),
        ("{\"keys\":\n [}", 2, "not readable as JSON"),
        ("{\"teams\": []}", 1, "no list `keys`"),
        ("model_list: [", 1, "neither JSON nor CSV"),
        ("token,key_alias\nabc\n", 2, "not readable as CSV"),
    ];
    for (text, line, says) in rows {
        let (found, notes) = keys(text);
        assert!(found.is_none(), "{text}");
        assert_eq!(failed(&notes), [("import.syntax", line)], "{text}");
        assert!(notes.findings[0].says.contains(says), "{text}: {:?}", notes.findings);
    }
    let (_, notes) = keys("{\"keys\": [], \"total_pages\": 3}");
    assert!(
        notes.findings.iter().any(|finding| finding.says == "this is one page of 3"),
        "{:?}",
        notes.findings
    );
    let hash = "b299ff18ca7faa7cabe4a06ba569a590cc9ee3d37390b5020548c03c29da52db";
    for (field, value) in
        [("max_budget", "-1"), ("rpm_limit", "many"), ("budget_reset_at", "soon"), ("expires", "soon")]
    {
        let (found, notes) =
            keys(&format!("{{\"keys\": [{{\"token\": \"{hash}\", \"{field}\": \"{value}\"}}]}}"));
        assert_eq!((found.unwrap().len(), failed(&notes)), (0, vec![("import.key", 1)]), "{field}");
    }
    let (found, notes) = keys("{\"keys\": [{\"token\": \"sk-canary-in-clear-0001\"}, {}]}");
    assert_eq!((found.unwrap().len(), failed(&notes).len()), (0, 2));
    assert!(!format!("{:?}", notes.findings).contains("canary"));
}

const HASH: &str = "b299ff18ca7faa7cabe4a06ba569a590cc9ee3d37390b5020548c03c29da52db";

#[test]
fn what_is_written_in_another_way_than_expected_opens_nothing() {
    let rows = [
        r#""max_budget": ["5"]"#,
        r#""rpm_limit": {"a": 1}"#,
        r#""litellm_budget_table": {"tpm_limit": [1]}"#,
        r#""expires": ["2020-01-01"]"#,
        r#""team_id": {"id": "3f1c"}"#,
        r#""blocked": "TRUE""#,
        r#""blocked": "yes""#,
        r#""blocked": {"by": "ada"}"#,
        r#""models": [""]"#,
        r#""models": [null]"#,
    ];
    for fields in rows {
        let (found, notes) = keys(&format!("[{{\"token\": \"{HASH}\", {fields}}}]"));
        assert_eq!((found.unwrap().len(), failed(&notes)), (0, vec![("import.key", 1)]), "{fields}");
    }
    let (found, _) = keys(&format!("[{{\"token\": \"{HASH}\", \"models\": {{\"a\": 1}}}}]"));
    assert!(found.unwrap().iter().all(|key| !key.wish.models.is_empty()));
    for fields in [r#""blocked": "FALSE""#, r#""blocked": "f""#, r#""max_budget": [], "models": null"#] {
        let (found, notes) = keys(&format!("[{{\"token\": \"{HASH}\", {fields}}}]"));
        assert_eq!((found.unwrap().len(), failed(&notes)), (1, vec![]), "{fields}");
    }
}

#[test]
fn a_key_may_use_what_both_it_and_its_team_may() {
    let both: &[&str] = &["claude-haiku-4-5", "claude-sonnet-4-5"];
    let rows: [(&str, &[&str]); 9] = [
        (r#"["claude-sonnet-4-5", "claude-opus-5-5"]"#, &["claude-sonnet-4-5"]),
        (r#"["fast"]"#, &["claude-haiku-4-5"]),
        (r#"["claude-sonnet-*"]"#, &["claude-sonnet-4-5"]),
        (r#"["*"]"#, both),
        ("[]", both),
        (r#"["all-proxy-models"]"#, both),
        (r#"["all-team-models", "claude-opus-5-5"]"#, both),
        (r#"["best"]"#, &[]),
        (r#"["claude-opus-*"]"#, &[]),
    ];
    for (models, expected) in rows {
        let (found, _) =
            keys(&format!("[{{\"token\": \"{HASH}\", \"team_id\": \"3f1c\", \"models\": {models}}}]"));
        let found: Vec<String> = found.unwrap().into_iter().flat_map(|key| key.wish.models).collect();
        assert_eq!(found, expected, "{models}");
    }
}

#[test]
fn what_is_spent_of_a_budget_of_another_table_is_taken_off() {
    let table = r#"{"max_budget": 10, "budget_duration": "30d", "budget_reset_at": "2100-01-01T00:00:00Z"}"#;
    let (found, _) =
        keys(&format!("[{{\"token\": \"{HASH}\", \"spend\": 4, \"litellm_budget_table\": {table}}}]"));
    let grants = found.unwrap()[0].limits.grants("key", "", NOW);
    assert!(grants[0].line.contains("raises: [{ to: \"6.00\""), "{grants:?}");
}

#[test]
fn a_key_that_may_not_ask_for_messages_stays_behind() {
    let rows = [
        (r#"["management_routes"]"#, 0),
        (r#"["info_routes", "/key/info"]"#, 0),
        (r#"["/v1/messages/batches"]"#, 0),
        (r#"["llm_api_routes"]"#, 1),
        (r#"["management_routes", "/v1/messages"]"#, 1),
        (r#"["/v1/*"]"#, 1),
        (r#""{anthropic_routes}""#, 1),
        ("[]", 1),
    ];
    for (routes, count) in rows {
        let (found, notes) = keys(&format!("[{{\"token\": \"{HASH}\", \"allowed_routes\": {routes}}}]"));
        assert_eq!(found.unwrap().len(), count, "{routes}: {:?}", notes.findings);
    }
}

#[test]
fn what_bounds_a_team_and_has_no_counterpart_is_named() {
    for field in ["metadata", "organization_id", "router_settings", "litellm_model_table"] {
        let mut notes = Notes::new("teams.json");
        let text = format!(r#"[{{"team_id": "a", "{field}": {{"model_rpm_limit": {{"m": 1}}}}}}]"#);
        read_teams(&text, &mut Draft::default(), NOW, &mut notes).unwrap();
        assert_eq!(failed(&notes), [("import.field", 1)], "{field}");
    }
}
