//! What there is to call, and who may call it.
//!
//! The router serves these routes and no others; the description of the API and the tests of who may do what are made
//! of them too.

use axum::http::StatusCode;

use super::caller::Rank::{self, Admin, Auditor, Developer, TeamAdmin};
use super::route::Verb::{Delete, Get, Post, Put};
use super::route::{Route, route};
use super::{
    adjustments, allowances, keys, openapi, operators, people, prices, requests, sessions, setup, state,
    statements, usage,
};

/// Every role; each sees its own part.
const ALL: &[Rank] = &[Admin, Auditor, TeamAdmin, Developer];
/// Those who see everything.
const READERS: &[Rank] = &[Admin, Auditor];
/// Those who see a team.
const TEAM_READERS: &[Rank] = &[Admin, Auditor, TeamAdmin];
/// Those who decide for a team.
const TEAM: &[Rank] = &[Admin, TeamAdmin];
/// Those who have keys in their care.
const KEEPERS: &[Rank] = &[Admin, TeamAdmin, Developer];

/// All routes. One that names no ranks is for admins alone.
pub(super) fn routes() -> Vec<Route> {
    [keys(), operators(), allowances(), sessions(), figures(), books(), about()]
        .into_iter()
        .flatten()
        .collect()
}

fn keys() -> Vec<Route> {
    vec![
        route(Get, "/admin/v1/keys", "list_keys", "List keys, without their secrets.", keys::list)
            .open_to(ALL),
        route(Post, "/admin/v1/keys", "create_key", "Make a key; its secret is shown once.", keys::create)
            .open_to(TEAM)
            .creates(),
        route(
            Post,
            "/admin/v1/keys/import",
            "import_key",
            "Take over a key that another gateway made, by its hash (201); one that is known stays as it is (200).",
            keys::import,
        )
        .open_to(TEAM)
        .creates()
        .or(StatusCode::OK),
        route(Get, "/admin/v1/keys/{id}", "show_key", "Show a key.", keys::show).open_to(ALL),
        route(
            Post,
            "/admin/v1/keys/{id}/rotate",
            "rotate_key",
            "Make a key in the place of one, which stays good for a while.",
            keys::rotate,
        )
        .open_to(KEEPERS)
        .creates()
        .guarded(),
        route(
            Post,
            "/admin/v1/keys/{id}/revoke",
            "revoke_key",
            "End a key, for good and at once.",
            keys::revoke,
        )
        .open_to(TEAM)
        .guarded(),
    ]
}

fn operators() -> Vec<Route> {
    vec![
        route(
            Post,
            "/admin/v1/setup",
            "set_up",
            "Make the first operator, an admin, with the code that the gateway printed at its start.",
            setup::set_up,
        )
        .open()
        .gives(StatusCode::CREATED),
        route(Get, "/admin/v1/self", "show_self", "Show who calls.", operators::oneself).open_to(ALL),
        route(Get, "/admin/v1/operators", "list_operators", "List operators.", operators::list)
            .open_to(READERS),
        route(
            Post,
            "/admin/v1/operators",
            "create_operator",
            "Give somebody a role; their token is shown once.",
            operators::create,
        )
        .creates(),
        route(
            Post,
            "/admin/v1/operators/{name}/rotate",
            "rotate_operator",
            "Give an operator another token; the one they have is void at once.",
            operators::rotate,
        )
        .creates()
        .guarded(),
        route(
            Delete,
            "/admin/v1/operators/{name}",
            "remove_operator",
            "Take an operator's role away; their token is void at once.",
            operators::remove,
        )
        .guarded(),
    ]
}

fn allowances() -> Vec<Route> {
    vec![
        route(
            Get,
            "/admin/v1/allowances",
            "list_allowances",
            "List limits, quotas and budgets, those of the configuration among them.",
            allowances::list,
        )
        .open_to(TEAM_READERS),
        route(Get, "/admin/v1/allowances/{name}", "show_allowance", "Show an allowance.", allowances::show)
            .open_to(TEAM_READERS),
        route(
            Put,
            "/admin/v1/allowances/{name}",
            "set_allowance",
            "Make an allowance (201) or change it (200). To change one takes `if-match`.",
            allowances::set,
        )
        .open_to(TEAM)
        .guarded()
        .or(StatusCode::CREATED),
        route(
            Delete,
            "/admin/v1/allowances/{name}",
            "remove_allowance",
            "Take an allowance away.",
            allowances::remove,
        )
        .open_to(TEAM)
        .guarded(),
        route(
            Post,
            "/admin/v1/allowances/{name}/raises",
            "raise_allowance",
            "Grant another amount for a while.",
            allowances::raise,
        )
        .open_to(TEAM)
        .creates()
        .guarded(),
    ]
}

fn sessions() -> Vec<Route> {
    vec![
        route(
            Get,
            "/admin/v1/sessions/paused",
            "list_paused_sessions",
            "List paused sessions.",
            sessions::list,
        )
        .open_to(TEAM_READERS),
        route(
            Post,
            "/admin/v1/sessions/pause",
            "pause_session",
            "Refuse a session's requests for a while.",
            sessions::pause,
        )
        .open_to(TEAM)
        .creates(),
        route(
            Post,
            "/admin/v1/sessions/resume",
            "resume_session",
            "Let a paused session go on.",
            sessions::resume,
        )
        .open_to(TEAM),
    ]
}

fn figures() -> Vec<Route> {
    vec![
        route(Get, "/admin/v1/usage", "report_usage", "Report usage and cost.", usage::report).open_to(ALL),
        route(
            Get,
            "/admin/v1/requests/{id}",
            "show_request",
            "Show what is on record about a request.",
            requests::show,
        )
        .open_to(ALL),
        route(
            Get,
            "/admin/v1/people/{org}/{user}/export",
            "export_person",
            "Give out everything that is kept about a person, one object a line.",
            people::export,
        )
        .open_to(READERS)
        .in_media(people::LINES),
        route(Get, "/admin/v1/prices", "show_prices", "Show the price book in force.", prices::show_book)
            .open_to(TEAM_READERS),
        route(
            Get,
            "/admin/v1/prices/{model}",
            "show_price",
            "Show what tokens of a model cost.",
            prices::show_price,
        )
        .open_to(TEAM_READERS),
    ]
}

fn books() -> Vec<Route> {
    vec![
        route(Get, "/admin/v1/statements", "list_statements", "List closed periods.", statements::list)
            .open_to(READERS),
        route(
            Post,
            "/admin/v1/statements",
            "close_period",
            "Close a period: state for good what it cost.",
            statements::close,
        )
        .creates()
        .or(StatusCode::OK),
        route(
            Get,
            "/admin/v1/statements/{period}",
            "show_statement",
            "Show a statement, to the byte as it was closed.",
            statements::show,
        )
        .open_to(READERS),
        route(
            Get,
            "/admin/v1/statements/{period}/signature",
            "show_signature",
            "Show the signature of a statement, by the key that signs the journal.",
            statements::show_signature,
        )
        .open_to(READERS),
        route(
            Get,
            "/admin/v1/adjustments",
            "list_adjustments",
            "List corrections of cost.",
            adjustments::list,
        )
        .open_to(READERS),
        route(
            Post,
            "/admin/v1/adjustments",
            "rerate",
            "Price requests again by the book in force, and record what their cost changes by.",
            adjustments::rerate,
        )
        .creates()
        .or(StatusCode::OK),
    ]
}

fn about() -> Vec<Route> {
    vec![
        route(Get, "/admin/v1/state", "show_state", "Show how the gateway is.", state::show).open_to(READERS),
        route(Get, "/admin/v1/openapi.json", "describe", "Describe this API in OpenAPI 3.1.", openapi::show)
            .open_to(ALL),
    ]
}
