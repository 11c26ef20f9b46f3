//! How the values that have one text form describe themselves in JSON Schema: what the descriptions of the
//! configuration and of the admin API are made of.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::access::Models;
use crate::allowance::{MonthNumber, Zone};
use crate::entry::Hash;
use crate::id::{InstanceId, KeyId, RequestId};
use crate::scope::Name;
use crate::unit::{NanoUsd, UnixMs};

macro_rules! schema {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema!(Name, "Name", {
    "type": "string",
    "description": "A name: 1 to 64 letters, digits and . _ @ -, beginning with a letter or digit.",
    "pattern": "^[0-9A-Za-z][0-9A-Za-z._@-]{0,63}$",
});
schema!(KeyId, "KeyId", {
    "type": "string",
    "description": "The id of a key.",
    "pattern": "^key_[0-7][0-9A-HJKMNP-TV-Z]{25}$",
});
schema!(RequestId, "RequestId", {
    "type": "string",
    "description": "The id of a request.",
    "pattern": "^req_[0-7][0-9A-HJKMNP-TV-Z]{25}$",
});
schema!(InstanceId, "InstanceId", {
    "type": "string",
    "description": "The id of a running gateway and the journal it writes.",
    "pattern": "^ins_[0-7][0-9A-HJKMNP-TV-Z]{25}$",
});
schema!(UnixMs, "Instant", {
    "type": "string",
    "format": "date-time",
    "description": "An instant in UTC with milliseconds, as 2026-11-22T11:30:00.123Z.",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$",
});
schema!(NanoUsd, "NanoUsd", {
    "type": "integer",
    "format": "int64",
    "description": "An amount of US dollars in billionths.",
});
schema!(Hash, "Hash", {
    "type": "string",
    "description": "A SHA-256 hash.",
    "pattern": "^[0-9a-f]{64}$",
});
schema!(Models, "Models", {
    "type": "array",
    "description": "Patterns of models: an id, or one with * at its start, its end, or both. An empty list means all.",
    "items": { "type": "string", "minLength": 1, "maxLength": 128 },
    "maxItems": 256,
});
schema!(Zone, "Zone", {
    "type": "string",
    "description": "The IANA name of a time zone, such as Europe/Berlin.",
});
schema!(MonthNumber, "MonthNumber", {
    "type": "integer",
    "description": "A month of the year.",
    "minimum": 1,
    "maximum": 12,
});
