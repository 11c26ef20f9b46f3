"""Holds answers of the admin API against its own description.

Takes the description and a list of exchanges, each {"verb", "path", "sent", "status", "answer"}, as files. Prints a
JSON list of sentences, one for each thing that is not as described.
"""

import json
import re
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate


def operation(description, path, verb):
    """The operation that describes a call; paths without a part that varies go before those with one."""
    plain = path.split("?")[0]
    for template in sorted(description["paths"], key=lambda template: template.count("{")):
        pattern = re.sub(r"\{[^}]*\}", "[^/]+", re.escape(template).replace(r"\{", "{").replace(r"\}", "}"))
        if re.fullmatch(pattern, plain) and verb in description["paths"][template]:
            return description["paths"][template][verb]
    return None


def resolved(description, node):
    """What a reference inside the description stands for."""
    while "$ref" in node:
        target = description
        for part in node["$ref"].lstrip("#/").split("/"):
            target = target[part]
        node = target
    return node


def faults(description, content, value, what):
    schema = content["application/json"]["schema"]
    validator = Draft202012Validator({"components": description["components"], **schema})
    return [f"{what}: {error.json_path}: {error.message}"[:500] for error in validator.iter_errors(value)]


def look(description, exchange):
    name = f"{exchange['verb']} {exchange['path']} {exchange['status']}"
    described = operation(description, exchange["path"], exchange["verb"])
    if described is None:
        return [f"{name}: is not described"]
    responses = described["responses"]
    response = responses.get(str(exchange["status"]))
    if response is None:
        if exchange["status"] < 400:
            return [f"{name}: the status is not described"]
        response = responses["default"]
    found = faults(description, resolved(description, response)["content"], exchange["answer"], name)
    sent = exchange["sent"]
    if sent is not None and exchange["status"] < 400:
        found += faults(description, described["requestBody"]["content"], sent, f"{name}, what was sent")
    return found


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        description = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        exchanges = json.load(file)
    validate(description)
    print(json.dumps([fault for exchange in exchanges for fault in look(description, exchange)]))


main()
