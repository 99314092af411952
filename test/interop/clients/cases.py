"""What the Python clients of this folder share: inputs of the models, checks, and the report of cases."""

import json

import numpy

SECONDS = 20
PIXELS = numpy.zeros((1, 784), dtype=numpy.float32)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(found, expected):
    check(found == expected, f"found {found!r}, expected {expected!r}")


def report(name, error=None):
    """One line of JSON for the test that reads it."""
    outcome = {"case": name, "ok": error is None}
    if error is not None:
        outcome["why"] = f"{type(error).__name__}: {error}"
    print(json.dumps(outcome), flush=True)


def run_cases(cases, names, *args):
    """Runs the functions of `cases` that `names` lists; 1 when one failed."""
    failed = 0
    for name in names:
        try:
            cases[name](*args)
            report(name)
        except Exception as error:  # every failure is a result, whatever its kind
            failed = 1
            report(name, error)
    return failed
