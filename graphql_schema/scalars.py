# SPDX-License-Identifier: EUPL-1.2
"""How every value looks in JSON: one printer in Python and one in SQL for each type, side by side.

Two executors answer the same question, so each text is fixed once: an instant has six digits and ends in Z, a decimal
has no exponent, a big integer is a string. Float has no printer, because no two programs agree on how to print one;
a type without an entry here cannot be declared.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import IntEnum, StrEnum
from functools import cache
from typing import Any, NewType
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import strawberry
from sqlalchemy import ColumnElement, Text, case, cast, extract, func, literal_column
from strawberry.types.scalar import ScalarDefinition

from services.kernel.serialization import print_instant

BigInt = NewType("BigInt", int)
TimeZone = NewType("TimeZone", str)
Locale = NewType("Locale", str)
Url = NewType("Url", str)
Email = NewType("Email", str)

TEXT_LENGTH_MAX = 500
BIG_INT_MAX = 2**63 - 1
INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
DURATION = re.compile(r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,10}(?:\.\d{1,6})?)S)?)?", re.ASCII)
INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
DECIMAL = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)
LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


ENDS_OF_TIME = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""The database's driver stores the first and the last instant, and the first and the last day, as infinity."""


@dataclass(frozen=True, slots=True)
class Printer:
    """One type's text, written twice. `definition` is None for what GraphQL itself defines."""

    definition: ScalarDefinition | None
    in_python: Callable[[Any], Any]
    in_sql: Callable[[ColumnElement[Any]], ColumnElement[Any]]


def _same(value: Any) -> Any:
    return value


def _as_text(value: ColumnElement[Any]) -> ColumnElement[str]:
    return cast(value, Text)


def _print_instant_in_sql(value: ColumnElement[Any]) -> ColumnElement[str]:
    pattern = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""", Text)
    return func.to_char(func.timezone(literal_column("'UTC'", Text), value), pattern, type_=Text)


def _print_date_in_sql(value: ColumnElement[Any]) -> ColumnElement[str]:
    return func.to_char(value, literal_column("'YYYY-MM-DD'", Text), type_=Text)


def print_duration(value: timedelta) -> str:
    """A length of time in seconds: `PT5400S`, `PT0.25S`. One unit only, so that there is one way to write it."""
    return f"PT{Decimal(value // timedelta(microseconds=1)) / 1_000_000:f}S"


def _print_duration_in_sql(value: ColumnElement[Any]) -> ColumnElement[str]:
    seconds = cast(func.trim_scale(extract("epoch", value)), Text)
    return literal_column("'PT'", Text).concat(seconds).concat(literal_column("'S'", Text))


def _print_decimal(value: Decimal) -> str:
    return format(value, "f")


def _parse_instant(value: object) -> datetime:
    if not isinstance(value, str) or not INSTANT.fullmatch(value):
        raise ValueError("An instant is written 2026-11-22T01:02:03Z, with a zone.")
    try:
        found = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("There is no such instant.") from error
    if found in ENDS_OF_TIME:
        raise ValueError("There is no such instant.")
    return found


def _parse_date(value: object) -> date:
    if not isinstance(value, str) or not DAY.fullmatch(value):
        raise ValueError("A date is written 2026-11-22.")
    try:
        found = date.fromisoformat(value)
    except ValueError as error:
        raise ValueError("There is no such date.") from error
    if found in (date.min, date.max):
        raise ValueError("There is no such date.")
    return found


def _parse_duration(value: object) -> timedelta:
    found = DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or not any(found.groups()):
        raise ValueError("A duration is written P1DT2H30M or PT90S.")
    days, hours, minutes, seconds = found.groups()
    whole = timedelta(days=int(days or 0), hours=int(hours or 0), minutes=int(minutes or 0))
    return whole + timedelta(microseconds=int(Decimal(seconds or 0) * 1_000_000))


def _parse_decimal(value: object) -> Decimal:
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        raise ValueError("A decimal is a string of digits with at most one point.")
    try:
        return Decimal(value)
    except InvalidOperation as error:
        raise ValueError("There is no such decimal.") from error


def _parse_big_int(value: object) -> int:
    if not isinstance(value, str) or not INTEGER.fullmatch(value) or abs(int(value)) > BIG_INT_MAX:
        raise ValueError("A big integer is a string of digits that fits 64 bits.")
    return int(value)


def _text_parser(what: str, is_valid: Callable[[str], bool]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX or not is_valid(value):
            raise ValueError(what)
        return value

    return parse


@cache
def _zones() -> set[str]:
    return available_timezones()


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", value)


def _scalar(name: str, description: str, url: str, printed: Callable[[Any], Any], parse: Callable[[Any], Any]) -> Any:
    return strawberry.scalar(
        name=name, description=description, specified_by_url=url, serialize=printed, parse_value=parse
    )


def _worded(name: str, description: str, url: str, parse: Callable[[object], str]) -> Printer:
    return Printer(_scalar(name, description, url, _same, parse), _same, _as_text)


XML_SCHEMA = "https://www.w3.org/TR/xmlschema11-2/"

PRINTERS: Mapping[object, Printer] = {
    str: Printer(None, _same, _as_text),
    int: Printer(None, _same, _same),
    bool: Printer(None, _same, _same),
    datetime: Printer(
        _scalar(
            "DateTime",
            "An instant in UTC by RFC 3339 with six digits of a second, `2026-11-22T01:02:03.000004Z`. Input may name "
            "another zone, but must name one.",
            "https://www.rfc-editor.org/rfc/rfc3339",
            print_instant,
            _parse_instant,
        ),
        print_instant,
        _print_instant_in_sql,
    ),
    date: Printer(
        _scalar(
            "Date",
            "A day of the calendar by RFC 3339, `2026-11-22`.",
            "https://www.rfc-editor.org/rfc/rfc3339#section-5.6",
            date.isoformat,
            _parse_date,
        ),
        date.isoformat,
        _print_date_in_sql,
    ),
    timedelta: Printer(
        _scalar(
            "Duration",
            "A length of time by ISO 8601. Output is in seconds, `PT5400S`; input may use days, hours and minutes.",
            "https://www.rfc-editor.org/rfc/rfc3339#appendix-A",
            print_duration,
            _parse_duration,
        ),
        print_duration,
        _print_duration_in_sql,
    ),
    Decimal: Printer(
        _scalar(
            "Decimal",
            "An exact number as a string, `0.30`; never with an exponent.",
            f"{XML_SCHEMA}#decimal",
            _print_decimal,
            _parse_decimal,
        ),
        _print_decimal,
        _as_text,
    ),
    BigInt: Printer(
        _scalar(
            "BigInt",
            "An integer of 64 bits as a string, `9007199254740993`.",
            f"{XML_SCHEMA}#long",
            str,
            _parse_big_int,
        ),
        str,
        _as_text,
    ),
    TimeZone: _worded(
        "TimeZone",
        "A zone of the IANA database, `Europe/Amsterdam`.",
        "https://www.iana.org/time-zones",
        _text_parser("This is not a zone of the IANA database.", lambda value: value in _zones()),
    ),
    Locale: _worded(
        "Locale",
        "A language by BCP 47, `nl` or `nl-BE`.",
        "https://www.rfc-editor.org/info/bcp47",
        _text_parser("This is not a language tag.", lambda value: bool(LOCALE.fullmatch(value))),
    ),
    Url: _worded(
        "URL",
        "An http or https address, `https://example.org/page`.",
        "https://url.spec.whatwg.org/",
        _text_parser("This is not an http or https address.", _is_url),
    ),
    Email: _worded(
        "Email",
        "An e-mail address, `desk@example.org`.",
        "https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address",
        _text_parser("This is not an e-mail address.", lambda value: bool(EMAIL.fullmatch(value))),
    ),
}

SCALAR_MAP: Mapping[object, ScalarDefinition] = {
    python_type: printer.definition for python_type, printer in PRINTERS.items() if printer.definition is not None
}
"""What the schema's configuration needs to know."""


def printer_of(python_type: object) -> Printer | None:
    """The printers of a type; None when it cannot be shown. A rank, an IntEnum, is a number that is shown by name."""
    if isinstance(python_type, type) and issubclass(python_type, StrEnum):
        return Printer(None, _name_of, _as_text)
    if isinstance(python_type, type) and issubclass(python_type, IntEnum):
        return Printer(None, _name_of, _rank_in_sql(python_type))
    return PRINTERS.get(python_type)


def _name_of(value: Any) -> str:
    return value.name


def _rank_in_sql(rank: type[IntEnum]) -> Callable[[ColumnElement[Any]], ColumnElement[Any]]:
    names = {member.value: literal_column(f"'{member.name}'", Text) for member in rank}

    def printed(value: ColumnElement[Any]) -> ColumnElement[Any]:
        return case(*((value == literal_column(str(number)), name) for number, name in names.items()))

    return printed
