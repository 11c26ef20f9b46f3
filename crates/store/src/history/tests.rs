//! Entries come back by their numbers and by what they hold.

use std::fs;
use std::ops::ControlFlow;

use tollgate_policy::entry::{Event, read_line};
use tollgate_policy::unit::UnixMs;

use super::Settled;
use crate::fixture::{NOW, admitted, folder, open, options, serve, settled};
use crate::store::Options;

#[test]
fn every_entry_comes_back_by_its_number_in_whatever_order() {
    let folder = folder();
    let options = Options { segment_bytes: 4000, ..options(folder.path()) };
    let store = open(&options);
    (0..20).for_each(|number| serve(&store, number));
    let mut written = Vec::new();
    let mut files: Vec<_> =
        fs::read_dir(options.data.join("journal")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        written.extend(text.lines().map(|line| read_line(line.as_bytes()).unwrap()));
    }
    let mut reader = store.history.reader().unwrap();
    for entry in written.iter().chain(written.iter().rev()).chain(written.iter().step_by(7)) {
        assert_eq!(reader.entry(entry.link.seq).unwrap().as_ref(), Some(entry));
    }
    for none in [0, written.len() as u64 + 1, u64::MAX] {
        assert_eq!(reader.entry(none).unwrap(), None);
        assert_eq!(reader.entry(1).unwrap().as_ref(), Some(&written[0]), "after entry {none}");
    }
}

#[test]
fn entries_are_found_by_kind_and_text() {
    let folder = folder();
    let store = open(&Options { segment_bytes: 4000, ..options(folder.path()) });
    (0..12).for_each(|number| serve(&store, number));
    let wanted = settled(7, 0).request.to_string();
    let search = |kinds: &[&str], text: &str, most: usize| {
        let mut found = Vec::new();
        let mut visit = |entry: tollgate_policy::entry::Entry| {
            found.push(entry.event.kind());
            if found.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        store.history.search(kinds, &["nowhere".to_owned(), text.to_owned()], &mut visit).unwrap();
        found
    };
    assert_eq!(search(&["settled"], &wanted, 9), ["settled"]);
    assert_eq!(search(&["admitted", "settled"], &wanted, 9), ["admitted", "settled"]);
    assert_eq!(search(&["denied"], &wanted, 9), [""; 0]);
    assert_eq!(search(&["settled"], "\"settled\"", 3).len(), 3);
    assert_eq!(search(&["settled"], "", 99).len(), 12);
}

#[test]
fn what_runs_is_counted_by_when_it_was_admitted() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let at = |ms: i64| UnixMs(NOW.0 + ms);
    let early = store.journal.admit(at(5), admitted(1)).wait().unwrap();
    let late = store.journal.admit(at(10), admitted(2)).wait().unwrap();
    let look = |ms: i64| store.history.settled_before(at(ms)).unwrap();
    assert_eq!(look(5), Settled::Upto(late));
    assert_eq!(look(6), Settled::Running(1));
    assert_eq!(look(11), Settled::Running(2));
    let end = store.journal.settle(at(20), settled(1, early)).wait().unwrap();
    assert_eq!((look(10), look(11)), (Settled::Upto(end), Settled::Running(1)));
}

#[test]
fn an_altered_entry_is_not_given_out() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    serve(&store, 1);
    let path = options.data.join("journal/00000000000000000001.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"ms_total\":812", "\"ms_total\":813")).unwrap();
    let seq = text.lines().filter_map(|line| read_line(line.as_bytes()).ok());
    let seq = seq
        .filter(|entry| matches!(entry.event, Event::Settled(_)))
        .map(|entry| entry.link.seq)
        .next()
        .unwrap();
    let fault = store.history.reader().unwrap().entry(seq).unwrap_err().to_string();
    assert!(fault.contains("audit verify"), "{fault}");
    assert!(
        store.history.search(&["settled"], &[String::new()], &mut |_| ControlFlow::Continue(())).is_err()
    );
}
