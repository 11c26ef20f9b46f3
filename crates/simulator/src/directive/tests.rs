use super::*;

#[test]
fn directives_are_read() {
    let directives = Directives::parse(
        r#"size=64kb; events=3;tool=Bash:{"command":"a;b]]"};tool=Read ; pace_ms = 5;status=429;
           message="no; not now"; usage=in:10,cr:4; cut=2; header=X-A: b:c; gzip; refusal=false"#,
    )
    .unwrap();
    assert_eq!(directives.answer.size, Some(65_536));
    assert_eq!(directives.answer.events, Some(3));
    assert_eq!(directives.answer.tools[0].input.get(), r#"{"command":"a;b]]"}"#);
    assert_eq!(directives.answer.tools[1].name, "Read");
    assert_eq!(directives.answer.tools[1].input.get(), "{}");
    assert_eq!(directives.timing.pace_ms, 5);
    assert_eq!(directives.failure.status, Some(429));
    assert_eq!(directives.failure.message.as_deref(), Some("no; not now"));
    assert_eq!(directives.answer.usage.input, Some(10));
    assert_eq!(directives.answer.usage.cache_read, Some(4));
    assert_eq!(directives.answer.usage.output, None);
    let stop = Stop { how: How::Cut, point: Point::Events(2) };
    assert_eq!(directives.fault.stop, Some(stop));
    assert_eq!(directives.form.headers, [("X-A".into(), "b:c".into())]);
    assert!(directives.form.gzip);
    assert_eq!(directives.answer.refusal, None);
}

#[test]
fn what_is_no_directive_is_refused() {
    let rows = [
        ("nonsense", "there is no directive `nonsense`"),
        ("size=much", "`size` needs a size"),
        ("size=257mb", "`size` needs a size"),
        ("status=200", "`status` needs a number from 400 to 599"),
        ("pace_ms", "`pace_ms` needs a number"),
        ("gzip=yes", "`gzip` needs no value"),
        ("tool=Bash:[1]", "`tool` needs NAME"),
        ("tool=Bash:{", "cannot read the directives at `Bash:{`"),
        ("usage=in", "`usage` needs counts"),
        ("usage=in:-1", "`usage` needs counts"),
        ("cut=soon", "`cut` needs a number"),
        ("end=head", "`end` needs a number"),
        ("header=X", "`header` needs Name: value"),
        ("header=X: \"a\\nb\"", "`header` needs Name: value"),
        ("=5", "cannot read the directives at `=5`"),
        ("gzip gzip", "cannot read the directives at `gzip`"),
    ];
    for (text, problem) in rows {
        let message = Directives::parse(text).unwrap_err().to_string();
        assert!(message.contains(problem), "{text}: {message}");
    }
}

#[test]
fn directives_are_found_in_a_prompt() {
    let rows = [
        ("say hello", None),
        ("a [[sim: status=529]] b", Some(Ok(" status=529"))),
        ("[[sim:gzip]] then [[sim: close ]]", Some(Ok(" close "))),
        (
            r#"[[sim: tool=Bash:{"command":"x=(1); [[ -f a ]] && b"}]]."#,
            Some(Ok(r#" tool=Bash:{"command":"x=(1); [[ -f a ]] && b"}"#)),
        ),
        ("[[sim: gzip", Some(Err(BadDirective::Unclosed))),
    ];
    for (prompt, expected) in rows {
        assert_eq!(Directives::find(prompt), expected, "{prompt}");
    }
}

#[test]
fn a_script_may_write_directives_as_an_object() {
    let value = RawValue::from_string(
        r#"{"status":429,"message":"a;b","gzip":true,"close":false,"iterations":[{}]}"#.into(),
    )
    .unwrap();
    let directives = Directives::parse(&from_json(&value).unwrap()).unwrap();
    assert_eq!(directives.failure.status, Some(429));
    assert_eq!(directives.failure.message.as_deref(), Some("a;b"));
    assert!(directives.form.gzip && !directives.form.close);
    assert!(directives.answer.iterations.is_some());
}
