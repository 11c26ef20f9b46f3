"""Judges reports by the schema of their format: report.py json|junit|sarif SCHEMA REPORT...

Each fault is printed on a line of its own; the exit status is 1 if there is one.
"""

import json
import sys

import jsonschema
import xmlschema


def parsed(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def by_json_schema(schema):
    """A judge that obeys the draft that the schema names, formats included."""
    schema = parsed(schema)
    kind = jsonschema.validators.validator_for(schema, default=None)
    kind.check_schema(schema)
    judge = kind(schema, format_checker=kind.FORMAT_CHECKER)
    return lambda path: [f"{error.json_path}: {error.message}" for error in judge.iter_errors(parsed(path))]


def by_xml_schema(schema):
    judge = xmlschema.XMLSchema(schema)
    return lambda path: [f"{error.path}: {error.reason}" for error in judge.iter_errors(path)]


form, schema, *reports = sys.argv[1:]
judge = by_xml_schema(schema) if form == "junit" else by_json_schema(schema)
found = [f"{path}: {fault}" for path in reports for fault in judge(path)]
print("\n".join(found))
sys.exit(bool(found))
