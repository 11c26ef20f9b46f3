//! Lines that somebody touched, or made up.

use proptest::prelude::*;

use super::*;

/// A line with these bytes before its hash, and the hash that fits: what somebody can write who knows the
/// format.
fn forge(hashed: &str) -> Vec<u8> {
    format!("{hashed},\"hash\":\"{}\"}}\n", Hash::of(hashed.as_bytes())).into_bytes()
}

#[test]
fn no_bit_of_a_line_can_be_flipped() {
    for event in every_kind() {
        let line = line_of(&event);
        // All but the line end, which is not part of the entry and may be missing.
        for place in 0..line.len() - 1 {
            for bit in 0..8 {
                let mut changed = line.clone();
                changed[place] ^= 1 << bit;
                assert!(read_line(&changed).is_err(), "{}", String::from_utf8_lossy(&changed));
                assert!(read_link(&changed).is_err());
            }
        }
    }
}

#[test]
fn no_part_of_a_line_is_a_line() {
    let line = line_of(&Event::Settled(settled()));
    for end in 0..line.len() - 1 {
        assert!(read_line(&line[..end]).is_err(), "{end}");
    }
    for start in 1..line.len() {
        assert!(read_line(&line[start..]).is_err(), "{start}");
    }
    assert_eq!(read_line(&line[..line.len() - 1]), read_line(&line), "the line end may be missing");
}

#[test]
fn a_forged_line_is_refused_for_its_form() {
    for (name, line) in forgeries() {
        let found = read_line(&line);
        assert!(found.is_err(), "{name}");
        // Whoever only follows the chain refuses them too, but for an event that does not interest it.
        assert_eq!(read_link(&line).is_err(), name != "field of the event missing", "{name}");
        assert!(!matches!(found, Err(BadLine::Hash { .. })), "{name} is refused only for its hash");
    }
}

/// All of these have a hash that fits: it is the form that gives them away.
fn forgeries() -> Vec<(&'static str, Vec<u8>)> {
    let prev = Hash::of(b"before").to_string();
    let head = format!(r#"{{"seq":7,"at":"{AT}","prev":"{prev}","kind":"closed""#);
    assert!(read_line(&forge(&head)).is_ok(), "the honest line that the others are made from");
    let replaced = |from: &str, to: &str| {
        assert!(head.contains(from), "{from}");
        forge(&head.replacen(from, to, 1))
    };
    let followed = |more: &str| forge(&format!("{head}{more}"));
    let honest = forge(&head);
    let shout = String::from_utf8_lossy(&honest).replace("\"hash\":\"", "\"HASH\":\"");
    let upper = honest.iter().rev().skip(3).take(64).rev().copied().collect::<Vec<u8>>();
    let upper = String::from_utf8_lossy(&honest)
        .replace(&*String::from_utf8_lossy(&upper), &String::from_utf8_lossy(&upper).to_uppercase());
    vec![
        ("doubled seq", followed(r#","seq":8"#)),
        ("doubled at", followed(r#","at":"2026-11-22T11:30:00.124Z""#)),
        ("doubled prev", followed(&format!(r#","prev":"{GENESIS}""#))),
        ("doubled kind", followed(r#","kind":"settled""#)),
        ("doubled hash", followed(&format!(r#","hash":"{GENESIS}""#))),
        ("doubled hash, escaped", followed(r#","\u0068ash":"0""#)),
        ("doubled seq, escaped", followed(r#","s\u0065q":8"#)),
        ("hash inside another object", followed(r#","more":{"a":1"#)),
        ("hash inside a list", followed(r#","more":["a""#)),
        ("hash inside a text", followed(r#","more":"a"#)),
        ("something after the hash", [&honest[..honest.len() - 2], b",\"a\":1}\n"].concat()),
        ("two lines in one", [&honest[..], &honest[..]].concat()),
        ("two line ends", [&honest[..], b"\n"].concat()),
        ("line end inside", replaced(",\"prev\"", ",\n\"prev\"")),
        ("carriage return", [&honest[..honest.len() - 1], b"\r\n"].concat()),
        ("tab inside", followed(",\t\"a\":1")),
        ("blank before", [b" ", &honest[..]].concat()),
        ("byte order mark", ["\u{feff}".as_bytes(), &honest[..]].concat()),
        ("blank inside the frame", replaced("\"seq\":7", "\"seq\": 7")),
        ("leading zero", replaced("\"seq\":7", "\"seq\":07")),
        ("sign", replaced("\"seq\":7", "\"seq\":+7")),
        ("minus", replaced("\"seq\":7", "\"seq\":-7")),
        ("fraction", replaced("\"seq\":7", "\"seq\":7.0")),
        ("exponent", replaced("\"seq\":7", "\"seq\":7e0")),
        ("seq too large", replaced("\"seq\":7", "\"seq\":18446744073709551616")),
        ("no seq", replaced("\"seq\":7", "\"seq\":")),
        ("seq as text", replaced("\"seq\":7", "\"seq\":\"7\"")),
        (
            "other order",
            replaced(&format!("\"seq\":7,\"at\":\"{AT}\""), &format!("\"at\":\"{AT}\",\"seq\":7")),
        ),
        ("no such day", replaced("2026-11-22", "2026-11-31")),
        ("other offset", replaced(".123Z", ".123z")),
        ("prev in upper case", forge(&head.replace(&prev, &prev.to_uppercase()))),
        ("prev too short", forge(&head.replace(&prev, &prev[1..]))),
        ("prev not hexadecimal", forge(&head.replace(&prev, &"g".repeat(64)))),
        ("hash in upper case", upper.into_bytes()),
        ("hash under another name", shout.into_bytes()),
        ("empty kind", replaced("\"closed\"", "\"\"")),
        ("kind in capitals", replaced("\"closed\"", "\"Closed\"")),
        ("kind escaped", replaced("\"closed\"", "\"clos\\u0065d\"")),
        ("field of the event missing", replaced("\"closed\"", "\"opened\"")),
        ("not UTF-8", {
            let hashed = [head.as_bytes(), b",\"a\":\"\xff\""].concat();
            [&hashed[..], format!(",\"hash\":\"{}\"}}\n", Hash::of(&hashed)).as_bytes()].concat()
        }),
        ("too long", followed(&format!(r#","a":"{}""#, "x".repeat(LINE_BYTES_MAX)))),
        ("nothing", Vec::new()),
        ("only a line end", b"\n".to_vec()),
        ("only an end", b"\"}".to_vec()),
    ]
}

#[test]
fn what_a_newer_version_adds_is_tolerated_and_covered() {
    let line = String::from_utf8(line_of(&Event::Settled(settled()))).unwrap();
    let hashed = line.rsplit_once(",\"hash\":\"").unwrap().0;
    let newer = hashed.replace("\"usage\":{", "\"colour\":[1,{\"a\":null}],\"usage\":{\"new_tokens\":3,");
    let entry = read_line(&forge(&newer)).unwrap();
    assert_eq!(entry.event, Event::Settled(settled()));
    let changed = String::from_utf8(forge(&newer)).unwrap().replace("\"new_tokens\":3", "\"new_tokens\":4");
    assert!(matches!(read_line(changed.as_bytes()), Err(BadLine::Hash { .. })));

    // A field that is nested deeper than any stack would bear is passed over too.
    let deep = format!("{hashed},\"colour\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read_line(&forge(&deep)).unwrap().event, Event::Settled(settled()));

    let unknown = forge(&hashed.replace("\"kind\":\"settled\"", "\"kind\":\"weighed\""));
    assert_eq!(read_line(&unknown), Err(BadLine::UnknownKind("weighed".to_owned())));
    assert_eq!(read_link(&unknown).unwrap().seq, 7);
}

proptest! {
    #[test]
    fn a_line_with_any_bytes_changed_is_never_an_entry(
        kind in any::<proptest::sample::Index>(),
        places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let line = line_of(kind.get(&every_kind()));
        let mut changed = line.clone();
        for (place, byte) in places {
            *place.get_mut(&mut changed) = byte;
        }
        // The line end may change only into something that is refused.
        prop_assert_eq!(read_line(&changed).is_ok(), changed == line);
    }

    #[test]
    fn bytes_are_read_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        middle in "[\"{}\\[\\],:a-z0-9\\\\ ]{0,60}",
    ) {
        let _ = read_line(&bytes);
        let _ = read_line(&forge(&String::from_utf8_lossy(&bytes)));
        let head = format!(r#"{{"seq":7,"at":"{AT}","prev":"{GENESIS}","kind":"closed""#);
        let line = forge(&format!("{head}{middle}"));
        // Whatever is accepted is one JSON object that an independent reader sees in the same way.
        if let Ok(entry) = read_line(&line) {
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(&value["seq"], 7);
            prop_assert_eq!(&value["hash"], &entry.link.hash.to_string());
        }
    }
}
