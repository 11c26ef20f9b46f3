//! Policy said no: the reasons, their stable codes, and sentences fit for the client.

use crate::allowance::{Measure, Span};
use crate::books::Overdrawn;
use crate::brake::BRAKE;
use crate::key::Refusal;
use crate::text::bound;
use crate::unit::UnixMs;

/// The longest model id that a message repeats, in characters.
const MODEL_CHARS_MAX: usize = 100;

/// Why a request was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// Nobody acts: there is no good credential.
    Unauthenticated(Unauthenticated),
    /// The key is bound to some models, and this is none of them.
    ModelNotAllowed {
        /// The model that was asked for, as the client wrote it.
        model: String,
    },
    /// The endpoint needs a model and the request names none.
    ModelRequired,
    /// The endpoint is not one that this gateway serves.
    EndpointNotAllowed {
        /// The label of the endpoint.
        endpoint: &'static str,
    },
    /// The key is bound to some models, and this endpoint may use others out of the gateway's sight.
    ModelsUnverifiable {
        /// The label of the endpoint.
        endpoint: &'static str,
    },
    /// An allowance has no room for the request.
    Overdrawn(Box<Overdrawn>),
    /// The session is paused.
    SessionPaused {
        /// Who paused it.
        by: String,
        /// Why: a whole sentence if a brake did it, else somebody's words.
        why: String,
        /// The first instant at which it may go on by itself.
        until: UnixMs,
        /// How long that is from now, in milliseconds.
        left_ms: i64,
    },
}

/// Why there is no principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthenticated {
    /// No credential was presented.
    NoCredential,
    /// A credential was presented that is not one of ours.
    UnknownCredential,
    /// The key is ours and no longer good.
    Refused(Refusal),
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self::Unauthenticated(Unauthenticated::Refused(refusal))
    }
}

impl From<Unauthenticated> for Denial {
    fn from(reason: Unauthenticated) -> Self {
        Self::Unauthenticated(reason)
    }
}

impl Denial {
    /// The stable code, for the journal and for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated(Unauthenticated::NoCredential) => "no_credential",
            Self::Unauthenticated(Unauthenticated::UnknownCredential) => "unknown_credential",
            Self::Unauthenticated(Unauthenticated::Refused(refusal)) => match refusal {
                Refusal::Expired { .. } => "key_expired",
                Refusal::Revoked { .. } => "key_revoked",
                Refusal::GraceOver { .. } => "key_grace_over",
                Refusal::TooOld { .. } => "key_too_old",
            },
            Self::ModelNotAllowed { .. } => "model_not_allowed",
            Self::ModelRequired => "model_required",
            Self::EndpointNotAllowed { .. } => "endpoint_not_allowed",
            Self::ModelsUnverifiable { .. } => "models_unverifiable",
            Self::Overdrawn(overdrawn) => match (overdrawn.measure, &overdrawn.span) {
                (Measure::Concurrency, _) => "too_many_at_once",
                (_, Span::Rate { .. } | Span::AtOnce) => "rate_limited",
                (Measure::Cost, _) => "budget_exhausted",
                _ => "quota_exhausted",
            },
            Self::SessionPaused { .. } => "session_paused",
        }
    }

    /// What to tell the client: what happened and what to do. Repeats nothing of a credential.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Unauthenticated(reason) => reason.message(),
            Self::ModelNotAllowed { model } => {
                let model: String = model.chars().filter(|character| !character.is_control()).collect();
                let model = bound(&model, MODEL_CHARS_MAX);
                format!(
                    "This key may not use the model `{model}`. GET /v1/models lists the models it may use; \
                     ask the key's owner to allow others."
                )
            }
            Self::ModelRequired => "The request names no model. Set `model` in the body.".to_owned(),
            Self::EndpointNotAllowed { endpoint } => format!(
                "This gateway does not serve this endpoint (`{endpoint}`). Use /v1/messages, \
                 /v1/messages/count_tokens or /v1/models, or ask the gateway's operator to open it."
            ),
            Self::ModelsUnverifiable { endpoint } => format!(
                "This key is bound to certain models, and the gateway cannot see which model this endpoint \
                 (`{endpoint}`) would use. Use /v1/messages, or a key that may use every model."
            ),
            Self::Overdrawn(overdrawn) => overdrawn.sentence(),
            Self::SessionPaused { by, why, .. } if by == BRAKE => why.clone(),
            Self::SessionPaused { by, why, until, .. } => format!(
                "{by} paused this session until {until}: {why}. Other sessions go on. {by} or the gateway's operator \
                 can resume it."
            ),
        }
    }
}

impl Unauthenticated {
    fn message(self) -> String {
        match self {
            Self::NoCredential => {
                "No credential. Send your gateway key in `x-api-key` or as `Authorization: \
                                   Bearer`."
                    .to_owned()
            }
            Self::UnknownCredential => {
                "This gateway does not know the credential. Check that the whole gateway \
                                        key was copied; it begins with `tg_`."
                    .to_owned()
            }
            Self::Refused(Refusal::Expired { at }) => {
                format!("This key expired at {at}. Ask the key's owner for a new one.")
            }
            Self::Refused(Refusal::Revoked { at }) => {
                format!("This key was revoked at {at}. Ask the key's owner for a new one.")
            }
            Self::Refused(Refusal::TooOld { days, max_days }) => format!(
                "This key is {days} days old, and keys are good for {max_days} here. Ask the key's owner to \
                 rotate it."
            ),
            Self::Refused(Refusal::GraceOver { at }) => {
                format!("This key was replaced, and the time to change over ended at {at}. Use the new key.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_and_messages_say_what_to_do() {
        let at = UnixMs(0);
        let model = "claude-opus-5".to_owned();
        let rows: [(Denial, &str, &str); 9] = [
            (Unauthenticated::NoCredential.into(), "no_credential", "x-api-key"),
            (Unauthenticated::UnknownCredential.into(), "unknown_credential", "tg_"),
            (Refusal::Expired { at }.into(), "key_expired", "at 1970-01-01T00:00:00.000Z"),
            (Refusal::Revoked { at }.into(), "key_revoked", "Ask the key's owner"),
            (Refusal::GraceOver { at }.into(), "key_grace_over", "Use the new key"),
            (Denial::ModelNotAllowed { model }, "model_not_allowed", "`claude-opus-5`"),
            (Denial::ModelRequired, "model_required", "`model`"),
            (Denial::EndpointNotAllowed { endpoint: "other" }, "endpoint_not_allowed", "`other`"),
            (Denial::ModelsUnverifiable { endpoint: "batches" }, "models_unverifiable", "`batches`"),
        ];
        for (denial, code, words) in rows {
            assert_eq!(denial.code(), code);
            let message = denial.message();
            assert!(message.contains(words) && message.ends_with('.'), "{message}");
            // A sentence broken over source lines must not carry their indentation.
            assert!(!message.contains("  ") && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_message_repeats_a_hostile_model_id_harmlessly() {
        let model = format!("\u{1b}[31m\r\n{}", "x".repeat(10_000));
        let message = Denial::ModelNotAllowed { model }.message();
        assert!(!message.chars().any(char::is_control));
        assert!(message.chars().count() < 300, "{message}");
    }
}
