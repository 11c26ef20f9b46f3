//! The table as a page for people: `docs/reference/headers.md`.

use super::TABLE;

const HEAD: &str = "\
# Headers

<!-- Made from crates/wire. To renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate-wire the_reference_is_current -->

What happens to each header on its way through the gateway. A header that no row names is forwarded as it came: the
same name in the same case, the same value, in its place among the others. So are the bodies.

`drop` means that it stays here, `replace` that the gateway sets its own. A `*` stands for any rest of a name. What a
`Connection` header lists is dropped as well, but for `content-*` and `anthropic-*`.

The gateway adds to every answer `x-tollgate-request-id`, its own name for the request; to every error answer
`x-tollgate-error-source`, which is `gateway` or `upstream`; and to answers for an old key `x-tollgate-key-warning`.

| header | to the upstream | to the client | why |
|---|---|---|---|
";

fn reference() -> String {
    let mut page = HEAD.to_owned();
    for row in TABLE {
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            row.name,
            row.request.as_str(),
            row.response.as_str(),
            row.why
        ));
    }
    page
}

/// The committed page is what the table says. `TOLLGATE_UPDATE=1` writes it anew.
#[test]
#[allow(clippy::disallowed_methods)] // A test may read the files that it keeps true.
fn the_reference_is_current() {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/headers.md");
    let page = reference();
    if std::env::var_os("TOLLGATE_UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "docs/reference/headers.md is stale: run the tests with TOLLGATE_UPDATE=1");
}
