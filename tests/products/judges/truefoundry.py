"""Reads manifests of TrueFoundry by its own models: truefoundry.py FILE...

The models let unknown fields through and make `_UNKNOWN` of values that they do not know. Both are faults here. Each
is printed on a line of its own; the exit status is 1 if there is one.
"""

import sys

import yaml
from pydantic import BaseModel, ValidationError
from truefoundry_sdk import types

MODELS = {
    "provider-account/anthropic": types.AnthropicProviderAccount,
    "gateway-rate-limiting-config": types.RateLimitConfig,
}
# The command line takes it, and the published model has it not.
ALSO = {("gateway-rate-limiting-config", "name")}


def unknown(value, kind, path=""):
    """What a model has taken without knowing it."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            if (kind + path, name) not in ALSO:
                yield f"{kind}{path}.{name}: no such field"
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name), kind, f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for at, item in enumerate(value):
            yield from unknown(item, kind, f"{path}[{at}]")
    elif isinstance(value, dict):
        yield f"{kind}{path}: no model was made of {value}"
    elif getattr(value, "name", None) == "_UNKNOWN":
        yield f"{kind}{path}: no such value"


def faults(manifest):
    kind = manifest.get("type")
    if kind not in MODELS:
        return [f"{kind}: no such type"]
    try:
        return list(unknown(MODELS[kind].model_validate(manifest), kind))
    except ValidationError as error:
        return [f"{kind}.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]


found = []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        manifests = list(yaml.safe_load_all(file))
    found += [fault for manifest in manifests for fault in faults(manifest)]
    print(f"{len(manifests)} manifests in {path}")
print("\n".join(found))
sys.exit(bool(found))
