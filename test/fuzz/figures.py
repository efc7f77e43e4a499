"""How much was really sent for each operation: Schemathesis' own report has the sum alone."""

import atexit
import json
import os
from collections import Counter, defaultdict

import schemathesis
from schemathesis.checks import CHECKS

# Differ whatever is asked.
UNLIKE = {"authorization", "x-schemathesis-testcaseid"}

examples = defaultdict(Counter)
has_input = {}


@schemathesis.hook
def after_call(context, case, response):
    request, operation = response.request, case.operation
    headers = sorted(field for field in request.headers.items() if field[0].lower() not in UNLIKE)
    name = operation.definition.raw["operationId"]
    examples[name][hash((request.method, request.url, request.body, tuple(headers)))] += 1
    has_input[name] = bool(operation.body) or any(True for _ in operation.iter_parameters())


@atexit.register
def write():
    operations = {
        name: {"hasInput": has_input[name], "sent": sent.total(), "distinct": len(sent)}
        for name, sent in examples.items()
    }
    with open(os.environ["FUZZ_FIGURES"], "w") as file:
        json.dump({"checks": len(CHECKS.get_all_names()), "operations": operations}, file)
