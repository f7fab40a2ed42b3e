# SPDX-License-Identifier: EUPL-1.2
"""Exports: the tokens that open them, the period they cover, and rights that are written down for later."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.integrations import rules
from services.kernel.access import Grant, Role
from services.kernel.errors import Invalid

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  bounds
GRANTS = st.builds(Grant, st.sampled_from(Role), st.none() | st.frozensets(st.uuids(), max_size=4))


@given(st.uuids(), st.uuids(), INSTANTS, st.binary(min_size=32, max_size=32))
def test_a_link_says_what_was_written_into_it(tenant: UUID, export: UUID, ends: datetime, signature: bytes) -> None:
    content = rules.link_content(tenant, export, ends)
    assert rules.read_link(rules.link_token(content, signature)) == (content, signature)
    assert rules.opened(content) == (tenant, export, ends.replace(microsecond=0))


@given(st.text() | st.binary().map(lambda content: rules.link_token(content, b"")))
def test_no_other_text_is_a_link(text: str) -> None:
    found = rules.read_link(text)
    assert found is None or rules.link_token(*found) == text


@given(st.none() | INSTANTS, st.none() | INSTANTS)
def test_a_period_never_reaches_into_the_future(since: datetime | None, until: datetime | None) -> None:
    wished = min(until or NOW, NOW)
    if since is not None and since > wished:
        with pytest.raises(Invalid):
            rules.check_period(since, until, now=NOW)
    else:
        assert rules.check_period(since, until, now=NOW) == wished


@given(st.lists(GRANTS, max_size=4))
def test_grants_that_were_written_are_read_as_they_were(grants: list[Grant]) -> None:
    assert rules.read_grants(rules.written_grants(grants)) == grants
