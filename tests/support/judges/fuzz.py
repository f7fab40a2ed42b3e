# SPDX-License-Identifier: EUPL-1.2
"""Lets schemathesis write operations over our schema, and tells each answer that only a defect can explain.

Runs in an environment of its own: `fuzz.py <root> <seconds>`, with an object of JSON on standard input: `url`,
`schema` (a file), `tokens`, `ids`. Says a line of JSON for each finding, and one with the counts at the end.
"""

import contextlib
import json
import random
import re
import sys
import time
import warnings
from collections import Counter

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.graphql import nodes

EXAMPLES_MAX = 10_000
"""Of one round; the seconds end it sooner."""
ANSWER_SECONDS_MAX = 30
AN_ID = re.compile(r'(\b(?:id|\w+Id|ID): )"(?:[^"\\]|\\.)*"')
SCALARS = {
    "DateTime": ["2026-03-01T09:00:00Z", "2026-03-01T10:00:00+01:00", "1970-01-01T00:00:00.000001Z",
                 "9999-12-31T23:59:59Z"],
    "TimeZone": ["Europe/Amsterdam", "UTC", "Nowhere/At_All"], "Date": ["2026-03-01"], "Locale": ["nl", "fr-BE"],
    "Email": ["a@plein.example"], "URL": ["https://plein.example/a"], "Decimal": ["0.30"], "Duration": ["PT1H"],
    "BigInt": ["1"],
}  # fmt: skip


def defects(response):
    """What no client can bring about: a status of ours, an answer that is no JSON, an error with a path."""
    if response.status_code >= 500:
        return [f"status {response.status_code}"]
    try:
        body = response.json()
    except ValueError:
        return ["no JSON"]
    found = [each for each in body.get("errors", ()) if each.get("path") is not None]
    codes = [each.get("extensions", {}).get("code", "no code") for each in found]
    # FORBIDDEN has a path and is no defect: the caller lacks the right to that field.
    return [code for code in codes if code != "FORBIDDEN"]


def outcome(answer, found):
    """What became of an operation, in a word."""
    if found or answer.status_code == 200:
        return "defect" if found else "executed"
    return answer.json()["errors"][0]["extensions"]["code"]


def main():
    root, seconds, given_things = sys.argv[1], float(sys.argv[2]), json.load(sys.stdin)
    warnings.simplefilter("ignore")
    for name, values in SCALARS.items():
        schemathesis.graphql.scalar(name, st.sampled_from(values).map(nodes.String))
    schema = schemathesis.graphql.from_path(given_things["schema"])
    operations = [each.ok() for each in schema.get_all_operations()]
    operations = [each for each in operations if each.label.startswith(f"{root}.")]
    session, counts, ends = requests.Session(), Counter(), time.monotonic() + seconds
    session.trust_env = False
    place = 0
    while time.monotonic() < ends:
        operation, share = operations[place % len(operations)], seconds / len(operations)
        place += 1
        explore(operation, given_things, session, counts, min(ends, time.monotonic() + share))
    sys.stdout.write(json.dumps({"done": True, "operations": len(operations), **counts}) + "\n")


def explore(operation, given_things, session, counts, until):
    """Ask for one field in every way that comes to mind, until the time is over."""
    chance = random.Random(operation.label)

    @settings(
        max_examples=EXAMPLES_MAX, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def ask(case):
        if time.monotonic() > until:
            raise TimeIsOver
        query = AN_ID.sub(lambda found: f'{found[1]}"{chance.choice(given_things["ids"])}"', case.body)
        token = chance.choice(given_things["tokens"])
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/graphql-response+json"}
        # What half of a surrogate pair is, no client can send.
        body = json.dumps({"query": query}).encode()
        headers["Content-Type"] = "application/json"
        answer = session.post(given_things["url"], data=body, headers=headers, timeout=ANSWER_SECONDS_MAX)
        found = defects(answer)
        counts["asked"] += 1
        counts[outcome(answer, found)] += 1
        for each in found:
            json.dump(
                {"finding": each, "field": operation.label, "query": query, "answer": answer.text[:500]}, sys.stdout
            )
            sys.stdout.write("\n")

    with contextlib.suppress(TimeIsOver):
        ask()


class TimeIsOver(Exception):
    """The field has had its share."""


main()
