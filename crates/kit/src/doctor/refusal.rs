//! Whose refusal it is. The same request is asked with the credential, with a made-up one and with none: what changes
//! between the answers tells who looked at the credential, and the marks of the answers who wrote them.

use super::{
    reply::{Author, Form, Reply},
    rules::{CREDENTIAL, REFUSAL, ROUTE},
};
use crate::finding::{Finding, Ground};

/// What came of presenting the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is accepted, whatever came of the request then.
    Accepted,
    /// The gateway knows it and does not permit this request.
    NotPermitted,
    /// The gateway refuses it.
    GatewayRefuses,
    /// The gateway accepts it, and the provider refuses the gateway's own.
    ProviderRefusesGateway,
    /// The gateway passes it on unread, and the provider refuses it.
    ProviderRefusesIt,
    /// Something before the gateway answers, with a page for browsers.
    Between,
    /// It can not be told.
    Unclear,
}

/// The three answers.
#[derive(Debug)]
pub(crate) struct Tries {
    /// With the credential.
    pub(crate) given: Reply,
    /// With one that nobody gave out.
    pub(crate) made_up: Reply,
    /// Without any.
    pub(crate) none: Reply,
}

impl Tries {
    /// Judges, and says what that rests on.
    pub(crate) fn judge(&self) -> (Verdict, Ground) {
        let (given, made_up) = (&self.given, &self.made_up);
        if !given.is_refusal() {
            return (Verdict::Accepted, Ground::Proven);
        }
        match given.author {
            Author::Gateway if given.status == 403 && !given.is_like(made_up) => {
                (Verdict::NotPermitted, Ground::Proven)
            }
            Author::Gateway => (Verdict::GatewayRefuses, Ground::Proven),
            // Behind a gateway that says whose error it is, the upstream is asked with the gateway's credential.
            Author::Upstream => (Verdict::ProviderRefusesGateway, Ground::Proven),
            Author::Between => (Verdict::Between, Ground::Proven),
            _ if given.is_like(made_up) => match given.author {
                Author::LikeProvider => (Verdict::ProviderRefusesIt, Ground::Inferred),
                Author::LikeGateway => (Verdict::GatewayRefuses, Ground::Inferred),
                // The gateway that wraps its errors in the API's envelope: it did not ask the provider three times.
                _ if !self.none.is_like(given) => (Verdict::GatewayRefuses, Ground::Inferred),
                _ => (Verdict::Unclear, Ground::Inferred),
            },
            Author::LikeProvider => (Verdict::ProviderRefusesGateway, Ground::Inferred),
            _ if given.status == 403 && made_up.status == 401 => (Verdict::NotPermitted, Ground::Inferred),
            Author::LikeGateway => (Verdict::GatewayRefuses, Ground::Inferred),
            // A gateway with errors of another form let this one through from behind it.
            _ if made_up.form != Form::Envelope => (Verdict::ProviderRefusesGateway, Ground::Inferred),
            _ => (Verdict::GatewayRefuses, Ground::Inferred),
        }
    }

    /// What to say about the credential.
    pub(crate) fn credential(&self, product: Option<&str>) -> Finding {
        let (verdict, ground) = self.judge();
        let fail = |says: &str, cure: &str| Finding::fail(&CREDENTIAL, ground, says).cure(cure);
        let gateway = product.unwrap_or("the gateway");
        let finding = match verdict {
            Verdict::Accepted if self.is_open() => {
                Finding::unknown(&CREDENTIAL, "everything is accepted, so it is not known whether this one is good")
            }
            Verdict::Accepted => Finding::pass(&CREDENTIAL, ground, "the gateway accepts it"),
            Verdict::NotPermitted => Finding::pass(
                &CREDENTIAL,
                ground,
                "the gateway knows it, and does not permit this request; --model names a model that it permits",
            ),
            Verdict::GatewayRefuses => fail(
                "the gateway refuses it; the provider was not asked",
                &format!("Get a new credential from whoever runs {gateway}, or have this one activated there."),
            ),
            Verdict::ProviderRefusesGateway => fail(
                "the gateway accepts it, but the provider refuses the credential of the gateway itself",
                &format!(
                    "This credential is good. Whoever runs {gateway} has to replace the provider's key in it; nobody else \
                     can cure this."
                ),
            ),
            Verdict::ProviderRefusesIt => fail(
                "it went through to the provider, who refuses it: the gateway does not look at credentials",
                &format!(
                    "Let {gateway} check the credential and put the provider's key in its place. Until then every client \
                     needs a key of the provider."
                ),
            ),
            Verdict::Between => fail(
                "a page for browsers answers in place of the gateway: a login, a firewall or a proxy",
                "Let whoever runs it exempt /v1/messages from single sign-on and from inspection of bodies; clients of \
                 an API can not log in on a page.",
            ),
            Verdict::Unclear => Finding::unknown(
                &CREDENTIAL,
                "it is refused, and the answers do not show whether by the gateway or by the provider",
            )
            .cure("Look into the log of the gateway at this instant: if it shows no request to the provider, the gateway refused."),
        };
        let finding = finding.with("with the credential", self.given.line());
        let finding = finding.with("with a made-up one", self.made_up.line());
        finding.with("without one", self.none.line())
    }

    /// Whether a made-up credential is answered like a good one. Failures and limits tell nothing.
    fn is_open(&self) -> bool {
        !self.made_up.is_refusal() && !matches!(self.made_up.status, 429 | 500..)
    }

    /// Whether those who have no credential are refused.
    pub(crate) fn refusal(&self) -> Finding {
        let tried = [(&self.none, "without a credential"), (&self.made_up, "with a made-up credential")];
        let open =
            tried.iter().find(|(reply, _)| !reply.is_refusal() && !matches!(reply.status, 429 | 500..));
        if let Some((reply, what)) = open {
            let says = format!("a request {what} is answered with {}, not with 401", reply.status);
            let cure = "If the gateway took it, everybody who reaches it can spend on its account: let it check \
                        credentials.";
            return Finding::fail(&REFUSAL, Ground::Proven, says).with("answered", reply.line()).cure(cure);
        }
        if tried.iter().all(|(reply, _)| reply.is_refusal()) {
            return Finding::pass(&REFUSAL, Ground::Proven, "requests without a good credential are refused");
        }
        Finding::unknown(&REFUSAL, "the gateway had no answer to them")
    }

    /// What came of the request behind the gateway, where its credential was accepted.
    pub(crate) fn route(&self, model: &str, is_made_up: bool) -> Option<Finding> {
        let given = &self.given;
        let pass = |says: &str| Some(Finding::pass(&ROUTE, Ground::Inferred, says));
        let finding = match given.status {
            401 | 403 => return None,
            200 => return pass("the request is answered"),
            404 | 400 if is_made_up && given.form == Form::Envelope => {
                return pass("the request is answered: there is no such model, as was meant");
            }
            404 if given.form == Form::Envelope => {
                Finding::fail(&ROUTE, Ground::Proven, format!("the model {model} is not served"))
                    .cure("Name a model that the gateway serves: `GET /v1/models` lists them.")
            }
            429 => Finding::unknown(&ROUTE, "a limit is reached, so nothing more can be tried")
                .cure("Try again later."),
            502..=504 => Finding::fail(
                &ROUTE,
                Ground::Proven,
                "the gateway does not get through to the provider",
            )
            .cure("Whoever runs the gateway looks at its log: the provider's address, its key, the way out."),
            500.. => Finding::fail(&ROUTE, Ground::Proven, "the gateway, or the provider behind it, failed")
                .cure("Try again; if it stays so, whoever runs the gateway looks at its log."),
            status => Finding::fail(&ROUTE, Ground::Proven, format!("the request is answered with {status}"))
                .cure("What the answer says is the gateway's or the provider's own sentence."),
        };
        Some(finding.with("answered", given.line()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::reply::tests::reply;

    fn envelope(kind: &str, message: &str) -> String {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#)
    }

    #[test]
    fn a_refusal_is_told_by_what_changes_with_the_credential() {
        let provider =
            || reply(401, "request-id: req_01", &envelope("authentication_error", "invalid x-api-key"));
        let kong = || reply(401, "server: kong/3.9", r#"{"message":"Unauthorized"}"#);
        let bare = |kind: &str, message: &str| reply(401, "", &envelope(kind, message));
        let ours = |status, message: &str| {
            let head = "x-tollgate-error-source: gateway";
            reply(status, head, &envelope("authentication_error", message))
        };
        let page = || reply(403, "", "<html><title>Blocked</title>");
        let known = || reply(403, "", &envelope("permission_error", "no such model for you"));
        let good = || reply(404, "request-id: req_01", &envelope("not_found_error", "model: x"));
        let behind =
            || reply(401, "x-tollgate-error-source: upstream", &envelope("authentication_error", "x"));
        let (proven, inferred) = (Ground::Proven, Ground::Inferred);
        let rows = [
            (good(), kong(), kong(), Verdict::Accepted, proven),
            (kong(), kong(), kong(), Verdict::GatewayRefuses, inferred),
            (ours(401, "expired"), ours(401, "unknown"), ours(401, "none"), Verdict::GatewayRefuses, proven),
            (ours(403, "model"), ours(401, "unknown"), ours(401, "none"), Verdict::NotPermitted, proven),
            (behind(), ours(401, "unknown"), ours(401, "none"), Verdict::ProviderRefusesGateway, proven),
            (provider(), kong(), kong(), Verdict::ProviderRefusesGateway, inferred),
            (provider(), provider(), provider(), Verdict::ProviderRefusesIt, inferred),
            (page(), page(), page(), Verdict::Between, proven),
            (known(), kong(), kong(), Verdict::NotPermitted, inferred),
            (bare("a", "bad"), kong(), kong(), Verdict::ProviderRefusesGateway, inferred),
            (bare("a", "bad"), bare("a", "bad"), bare("a", "none given"), Verdict::GatewayRefuses, inferred),
            (bare("a", "bad"), bare("a", "bad"), bare("a", "bad"), Verdict::Unclear, inferred),
        ];
        for (number, (given, made_up, none, verdict, ground)) in (0..).zip(rows) {
            let tries = Tries { given, made_up, none };
            assert_eq!(tries.judge(), (verdict, ground), "row {number}: {tries:?}");
        }
    }
}
