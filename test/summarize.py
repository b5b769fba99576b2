#!/usr/bin/env python3
"""Sums up test results: prints `N passed, N failed` and fails if any failed.

usage: summarize.py [--passed=N] [--failed=N] RESULTS_DIR...

Each folder holds ctest.xml, written by `ctest --output-junit`. A ctest that left
a JUnit file of its own there, <name>.xml, counts as its single cases, others as
one. --passed and --failed add checks that ctest does not run.
"""

import argparse
import os
import sys
import xml.etree.ElementTree as ElementTree


def count_cases(path):
    """Passed and failed cases of one JUnit file."""
    passed = failed = 0
    for case in ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is None and case.get("status") != "notrun":
            passed += 1
    return passed, failed


def count_ctest(case, folder):
    """Passed and failed cases of one ctest."""
    status = case.get("status")
    if status in ("disabled", "notrun") and case.find("failure") is None:
        # "Not run" for want of the executable is a failure, a skip is not.
        skipped = case.find("skipped")
        message = skipped.get("message", "") if skipped is not None else ""
        return (0, 0) if status == "disabled" or "SKIP" in message else (0, 1)
    succeeded = status == "run"
    details = os.path.join(folder, case.get("name") + ".xml")
    try:
        passed, failed = count_cases(details)
    except (OSError, ElementTree.ParseError):
        return (1, 0) if succeeded else (0, 1)
    if not succeeded and failed == 0:
        # The program ended badly after its last case, as with a leak.
        failed = 1
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--passed", type=int, default=0)
    parser.add_argument("--failed", type=int, default=0)
    parser.add_argument("folders", nargs="*")
    options = parser.parse_args()
    passed, failed = options.passed, options.failed
    for folder in options.folders:
        try:
            cases = list(
                ElementTree.parse(os.path.join(folder, "ctest.xml")).iter("testcase")
            )
        except (OSError, ElementTree.ParseError) as error:
            print(f"no test results in {folder}: {error}", file=sys.stderr)
            cases = []
            failed += 1
        for case in cases:
            case_passed, case_failed = count_ctest(case, folder)
            passed += case_passed
            failed += case_failed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
