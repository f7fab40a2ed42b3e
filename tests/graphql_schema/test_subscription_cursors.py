# SPDX-License-Identifier: EUPL-1.2
"""The cursor of a live stream: opaque, signed, and good for its own stream and organization only."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_schema.context import Context
from graphql_schema.live.stream import CURSOR_LENGTH, EventStream
from services.kernel import identifiers
from services.kernel.access import Actor
from services.kernel.encryption import Vault
from services.kernel.errors import BadUserInput
from tests.graphql_schema.street import NOBODY, refuse

HERE, THERE = Actor.system(identifiers.new()), Actor.system(identifiers.new())


def stream(actor: Actor = HERE, name: str = "conversationEvents") -> EventStream[Any]:
    runtime: Any = SimpleNamespace(vault=Vault(b"a key that protects nothing here"))
    return EventStream(Context(runtime, actor, "test"), name, frozenset(), NOBODY, refuse)


@given(st.integers(0, 2**63 - 1), st.data())
def test_a_cursor_survives_its_journey_and_no_change_to_it(sequence: int, data: st.DataObject) -> None:
    cursor = stream().cursor(sequence)
    assert stream().read_cursor(cursor) == sequence
    assert len(cursor) == CURSOR_LENGTH
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda each: each != cursor[place]))
    with pytest.raises(BadUserInput):
        stream().read_cursor(cursor[:place] + other + cursor[place + 1 :])


@given(st.integers(0, 2**63 - 1))
def test_a_cursor_fits_its_own_stream_and_organization_only(sequence: int) -> None:
    for stranger in (stream(name="another"), stream(THERE)):
        with pytest.raises(BadUserInput):
            stranger.read_cursor(stream().cursor(sequence))


@given(st.text(max_size=60))
def test_no_other_text_is_a_cursor(text: str) -> None:
    with pytest.raises(BadUserInput):
        stream().read_cursor(text)
