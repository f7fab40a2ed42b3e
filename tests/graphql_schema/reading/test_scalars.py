# SPDX-License-Identifier: EUPL-1.2
"""Every printer twice: what Python writes and what the database writes are the same text."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Integer,
    Interval,
    Numeric,
    SmallInteger,
    Text,
    literal,
    select,
)

from graphql_schema.scalars import (
    PRINTERS,
    SCALAR_MAP,
    BigInt,
    Email,
    Locale,
    TimeZone,
    Url,
    print_duration,
    printer_of,
)
from services.conversations.rules import ConversationState, Priority
from services.kernel.database import Database
from services.kernel.serialization import print_instant

TEXTS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
FIRST, LAST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001  the zone is drawn beside them
VALUES: dict[Any, tuple[Any, st.SearchStrategy[Any]]] = {
    str: (Text(), TEXTS),
    int: (Integer(), st.integers(-(2**31), 2**31 - 1)),
    bool: (Boolean(), st.booleans()),
    datetime: (DateTime(timezone=True), st.datetimes(FIRST, LAST, timezones=st.just(UTC))),
    date: (Date(), st.dates(FIRST.date(), LAST.date())),
    timedelta: (Interval(), st.timedeltas(timedelta(days=-36_500), timedelta(days=36_500))),
    Decimal: (
        Numeric(),
        st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20),
    ),
    BigInt: (BigInteger(), st.integers(-(2**63), 2**63 - 1)),
    TimeZone: (Text(), TEXTS),
    Locale: (Text(), TEXTS),
    Url: (Text(), TEXTS),
    Email: (Text(), TEXTS),
    ConversationState: (Text(), st.sampled_from(ConversationState)),
    Priority: (SmallInteger(), st.sampled_from(Priority)),
}


async def printed_by_the_database(database: Database, actor: Any, python_type: Any, value: Any) -> Any:
    printer, kind = printer_of(python_type), VALUES[python_type][0]
    assert printer is not None
    async with database.snapshot(actor) as snapshot:
        return await snapshot.scalar(select(printer.in_sql(literal(value, kind))))


def test_every_printer_is_compared():
    assert set(PRINTERS) <= set(VALUES)


@pytest.mark.parametrize("python_type", list(VALUES), ids=lambda each: each.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
async def test_both_printers_write_the_same_text(reading_database, here, python_type, data):
    value = data.draw(VALUES[python_type][1])
    printer = printer_of(python_type)
    assert printer is not None
    expected = printer.in_python(value)
    assert await printed_by_the_database(reading_database, here.coordinator, python_type, value) == expected


@pytest.mark.parametrize(
    ("python_type", "value", "text"),
    [
        (datetime, datetime(2026, 11, 22, 1, 2, 3, 4, tzinfo=UTC), "2026-11-22T01:02:03.000004Z"),
        (datetime, datetime(1, 1, 2, tzinfo=UTC), "0001-01-02T00:00:00.000000Z"),
        (datetime, datetime(9999, 12, 31, 23, 59, 59, 999998, tzinfo=UTC), "9999-12-31T23:59:59.999998Z"),
        (date, date(987, 6, 5), "0987-06-05"),
        (timedelta, timedelta(hours=1, minutes=30), "PT5400S"),
        (timedelta, timedelta(milliseconds=-250), "PT-0.25S"),
        (timedelta, timedelta(0), "PT0S"),
        (Decimal, Decimal("0.30"), "0.30"),
        (Decimal, Decimal("-0.000001"), "-0.000001"),
        (BigInt, 2**63 - 1, "9223372036854775807"),
        (Priority, Priority.URGENT, "URGENT"),
        (str, '"\\\n\u2028\x1f💧', '"\\\n\u2028\x1f💧'),
    ],
)
async def test_the_text_is_fixed(reading_database, here, python_type, value, text):
    printer = printer_of(python_type)
    assert printer is not None
    assert printer.in_python(value) == text
    assert await printed_by_the_database(reading_database, here.coordinator, python_type, value) == text


def test_a_float_has_no_printer():
    assert printer_of(float) is None


def parse(python_type: Any, text: Any) -> Any:
    definition = SCALAR_MAP[python_type]
    assert definition.parse_value is not None
    return definition.parse_value(text)


@given(st.datetimes(FIRST, LAST, timezones=st.timezones()))
def test_a_printed_instant_is_read_back(value):
    assert parse(datetime, print_instant(value)) == value.astimezone(UTC)


@given(st.timedeltas(timedelta(0), timedelta(days=10_000)))
def test_a_printed_duration_is_read_back(value):
    assert parse(timedelta, print_duration(value)) == value


@pytest.mark.parametrize(
    ("python_type", "text", "value"),
    [
        (datetime, "2026-11-22T02:02:03+01:00", datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)),
        (datetime, "2026-11-22t01:02:03z", datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)),
        (timedelta, "P1DT2H30M", timedelta(days=1, hours=2, minutes=30)),
        (Decimal, "-12.50", Decimal("-12.50")),
        (BigInt, "-9223372036854775807", -(2**63) + 1),
        (TimeZone, "Europe/Brussels", "Europe/Brussels"),
        (Locale, "nl-BE", "nl-BE"),
        (Url, "https://example.org/a?b#c", "https://example.org/a?b#c"),
        (Email, "desk@example.org", "desk@example.org"),
    ],
)
def test_a_valid_text_is_read(python_type, text, value):
    assert parse(python_type, text) == value


@pytest.mark.parametrize(
    ("python_type", "text"),
    [
        *((datetime, text) for text in ("", "2026-11-22", "2026-11-22T01:02:03", "20261122T010203Z", 1, None)),
        *(
            (datetime, text)
            for text in ("2026-13-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00")
        ),
        *((datetime, text) for text in ("9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "٢٠٢٦-11-22T01:02:03Z")),
        *((date, text) for text in ("", "2026-1-1", "2026-02-30", "20261122", "2026-W01-1", "9999-12-31", 5)),
        *((timedelta, text) for text in ("", "P", "PT", "P1Y", "1H", "-PT1S", 3)),
        *((Decimal, text) for text in ("", "1e5", "NaN", ".5", "1.", 1.5, "١")),
        *((BigInt, text) for text in ("", "1.0", str(2**63), 5, "९")),
        *((TimeZone, text) for text in ("", "CEST+1", "../../etc/passwd", "europe/brussels")),
        *((Locale, text) for text in ("", "n", "nl_BE", "nl-" + "x" * 9)),
        *(
            (Url, text)
            for text in ("", "ftp://example.org", "https://", "javascript:alert(1)", "https://a b", "https://[")
        ),
        *((Email, text) for text in ("", "a", "a@", "@b", "a b@c", "a@b@c", "a@" + "b" * 256)),
    ],
)
def test_an_invalid_text_is_refused_with_a_sentence(python_type, text):
    with pytest.raises(ValueError, match=r"^[A-Z].*\.$"):
        parse(python_type, text)


@pytest.mark.parametrize("definition", SCALAR_MAP.values(), ids=lambda each: each.name)
def test_every_scalar_says_where_it_is_specified(definition):
    assert re.match("https://", definition.specified_by_url)
    assert definition.description
