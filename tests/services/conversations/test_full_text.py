# SPDX-License-Identifier: EUPL-1.2
"""Full text: what is typed finds its conversation, for everybody what they may read, and no other organization's."""

from collections.abc import Mapping
from datetime import timedelta
from random import Random
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Text, bindparam
from sqlmodel import col

from services.conversations.models import Conversation
from services.conversations.queries import CONVERSATION_IS_VISIBLE, matching
from services.kernel import identifiers
from services.kernel.access import Actor, Role
from services.kernel.database import Database
from services.kernel.isolation import owned
from tests.services.conversations.scenes import ask, mention, people, sql
from tests.services.conversations.standing import Town, found_town
from tests.services.conversations.test_conversation_visibility import Table, sees
from tests.services.conversations.world import FORM, SPRING, START, Version, deletion_event, seen_event
from tests.support import statements
from tests.support.database import connection_as

Urls = Mapping[str, str]
SEARCHES = ("search_conversations", "search_conversations_alike")
ASKED = bindparam("asked", type_=Text())

TEXTS = {
    "nl": "Twee lantaarnpalen in de Wilgenlaan zijn kapotte, en de vuilniszakken liggen er sinds dinsdag.",
    "fr": "Les réverbères de l'allée des Cerisiers sont éteints; une poubelle est renversée sur les trottoirs.",
    "de": "Die Straßenlaternen vor unseren Häusern sind seit gestern aus. Für die Mülltonne fehlt ein Deckel!",
    "en": "Three streetlights on Larch Street are broken again; the bins were not collected in both cities.",
}

FOUND = [
    *[("nl", asked) for asked in ("lantaarnpaal", "LANTAARNPALEN kapot", "vuilniszak", "de lantaarnpalen", "wilgenl")],
    *[("fr", asked) for asked in ("reverbere", "réverbère éteint", "poubelles trottoir", "l’allée", "cerisier")],
    *[("de", asked) for asked in ("Strassenlaterne", "straßenlaternen gestern", "haus", "fuer Muelltonnen", "mullt")],
    *[("en", asked) for asked in ("streetlight", "STREETLIGHT broken", "bin", "city", "collect bin")],
]

TYPOS = [
    *[("nl", asked) for asked in ("lantarnpaal", "lantaarnpaael", "kappotte", "vuilinszakken", "lantaarnplaen")],
    *[("fr", asked) for asked in ("revebere", "poubelel", "trotoirs", "cerissiers", "pubelle renversee")],
    *[("de", asked) for asked in ("strassenlateren", "gesternn", "mulltpnne", "hausren", "dekel mulltonne")],
    *[("en", asked) for asked in ("streetlihgts", "brocken", "colected", "larhc", "larch the streetlite")],
]


@pytest.fixture(scope="module")
async def village(database: Database) -> tuple[Town, Actor, Mapping[str, UUID]]:
    """One conversation in each language, and two others between which nothing must be mistaken."""
    town = await found_town(database)
    ids = await ask(town, *TEXTS.values(), "Wanneer opent het zwembad?", "Merci pour votre aide rapide.")
    [reader] = await people(town, 1, Role.COORDINATOR)
    return town, reader, dict(zip([*TEXTS, "pool", "thanks"], ids, strict=True))


async def found(town: Town, actor: Actor, asked: str) -> set[UUID]:
    """What the actor's search gives, as a list of conversations asks for it."""
    statement = owned(Conversation, CONVERSATION_IS_VISIBLE, matching(ASKED)).with_only_columns(col(Conversation.id))
    async with town.database.snapshot(actor) as snapshot:
        return set(await snapshot.scalars(statement, asked=asked))


async def searched(urls: Urls, search: str, bound: object, asked: str | None, **given: object) -> list[UUID]:
    """What one function gives to belfry_app, under the organization that is set; `tenant` and `most` may differ."""
    async with connection_as(urls, "belfry_app") as connection:
        if bound is not None:
            with statements.unwatched():
                await connection.execute("select set_config('app.tenant_id', $1, false)", str(bound))
        rows = await connection.fetch(
            f"select conversation_id from belfry.{search}($1, $2, $3)",
            given.get("tenant", bound), asked, given.get("most", 100),
        )  # fmt: skip
    return [row["conversation_id"] for row in rows]


@pytest.mark.parametrize(("language", "asked"), FOUND)
async def test_words_are_found_in_every_form_of_four_languages(village, language: str, asked: str) -> None:
    town, reader, ids = village
    assert await found(town, reader, asked) == {ids[language]}


@pytest.mark.parametrize(("language", "asked"), TYPOS)
async def test_a_slip_of_the_finger_finds_what_was_meant(
    village, database_urls: Urls, language: str, asked: str
) -> None:
    town, reader, ids = village
    assert await searched(database_urls, "search_conversations", town.organization.id, asked) == []
    assert await found(town, reader, asked) == {ids[language]}


async def test_words_may_stand_in_several_messages_and_in_the_name(village, database_urls: Urls) -> None:
    town, reader, _ = village
    thing, first = mention(SPRING, "did:plc:marguerite-vansteen", "De glasbak zit vol.", START)
    _, second = mention(SPRING, "did:plc:marguerite-vansteen", "Bij de sporthal dus.", START, under=thing)
    await town.receive_raw(SPRING, [first, second])
    await town.drain(SPRING)
    [(conversation_id,)] = await sql(
        database_urls,
        "select distinct conversation_id from belfry.message where tenant_id = $1 and external_id = $2",
        town.organization.id, thing.id,
    )  # fmt: skip
    for asked in (
        "glasbak",
        "glasbak sporthal",
        "vansteen",
        "Marguerite VANSTEEN",
        "vanst",
        "vansteen glasbak",
        "vamsteen",
    ):
        assert await found(town, reader, asked) == {conversation_id}, asked
    assert await found(town, reader, "glasbak zwembad") == set()


async def test_a_reference_is_found_as_it_is_said_and_from_its_beginning(village, database_urls: Urls) -> None:
    town, reader, ids = village
    [(reference,)] = await sql(
        database_urls, "select reference from belfry.conversation where tenant_id = $1 and id = $2",
        town.organization.id, ids["pool"],
    )  # fmt: skip
    for asked in (reference, reference.lower(), reference.replace("-", ""), reference.replace("-", " "), reference[:7]):
        assert await found(town, reader, f" {asked} ") == {ids["pool"]}, asked
    assert await found(town, reader, reference[:3]) == set(), "three letters are no reference"


async def test_what_is_edited_or_deleted_is_found_by_its_new_words_only(database: Database) -> None:
    town = await found_town(database)
    [reader] = await people(town, 1, Role.COORDINATOR)
    thing, raw = mention(SPRING, "did:plc:somebody", "De eekhoorn zit vast.", START)
    await town.receive_raw(SPRING, [raw])
    await town.drain(SPRING)
    [conversation_id] = await found(town, reader, "eekhoorn")
    thing.versions.append(Version("cid-later", "De ooievaar zit vast.", "nl", START + timedelta(hours=1)))
    seen = START + timedelta(hours=2)
    changed = seen_event(thing, SPRING, thing.versions[1], seen, "somebody", thing.versions[0].tag)
    await town.receive_raw(SPRING, [changed])
    await town.drain(SPRING)
    assert await found(town, reader, "eekhoorn") == set()
    assert await found(town, reader, "ooievaar") == {conversation_id}
    await town.receive_raw(SPRING, [deletion_event(thing, SPRING, thing.versions[1], seen + timedelta(hours=1))])
    await town.drain(SPRING)
    assert await found(town, reader, "ooievaar") == set()


async def test_words_of_other_scripts_junk_and_the_longest_texts_are_taken_in(database: Database) -> None:
    town = await found_town(database)
    [reader] = await people(town, 1, Role.COORDINATOR)
    texts = {
        "Фонарь не горит": "фонарь",
        "مصباح الشارع مكسور": "مصباح",
        "lamp💡kapot": "kapot",
        "x" * 5_000 + " einde": "einde",
        "é" * 9_000: "e" * 40,
        "e\u0301\u0302" * 4_000: "e" * 45,
        " ".join(f"woord{number}" for number in range(2_000)): "woord1999",
        "!?…" * 6_000 + "slot": "slot",
        "\\ ' \" :* & | ! <-> (( '' haakje": "haakje",
    }
    ids = dict(zip(texts, await ask(town, *texts), strict=True))
    for text, asked in texts.items():
        assert ids[text] in await found(town, reader, asked), asked


async def test_everybody_finds_exactly_what_they_may_read(database: Database, database_urls: Urls) -> None:
    """The oracle of visibility again: a word of a message is found by whoever reads the message, a name by whoever
    sees the conversation. Who holds or takes part changes nothing in it.
    """
    chance, town = Random(20261123), await found_town(database)
    async with connection_as(database_urls, "postgres") as admin:
        table = Table(town, admin)
        await table.fill(chance, 8)
        words: dict[str, tuple[UUID, bool | None]] = {}
        for case in table.cases:
            for message, public in case.messages.items():
                word = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=12))
                words[word] = (case.id, public)
                await admin.execute("update belfry.message set text = $2 where id = $1", message, f"Het {word}!")
            name = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=12))
            words[name] = (case.id, None)
            await admin.execute("update belfry.contact set display_name = $2 where id = $1", case.contact, name.title())
    cases, hits = {case.id: case for case in table.cases}, 0
    asking = chance.sample(table.people, 8)
    for person in asking:
        for word, (conversation_id, public) in words.items():
            case = cases[conversation_id]
            may = sees(person, case, private=not case.public or public is False)
            typed = word if chance.random() < 0.7 else word[:5] + word[6:]
            assert (await found(town, person.actor(town), typed) == {conversation_id}) is may, (person.grants, public)
            hits += may
    assert 0 < hits < len(words) * len(asking)


async def test_a_hidden_conversation_does_not_keep_what_resembles_it_from_being_found(database: Database) -> None:
    """Else whoever posts "Zwartbarg" could ask whether a conversation that they may not see says "Zwartberg"."""
    town = await found_town(database)
    near, hidden = await ask(town, "Zwartbarg and the street lamp", "Zwartberg and the bin", handle=SPRING)
    departments = {}
    for conversation_id in (near, hidden):
        async with town.database.snapshot(town.actor) as snapshot:
            row = await snapshot.one(owned(Conversation, col(Conversation.id) == conversation_id))
        departments[conversation_id] = row.department_id
    codes = {row: code for code, row in town.organization.departments.items()}
    assert departments[near] != departments[hidden]
    [someone] = await people(town, 1, Role.OPERATOR, codes[departments[near]])
    [everyone] = await people(town, 1, Role.COORDINATOR)
    assert await found(town, someone, "Zwartberg") == {near}
    assert await found(town, everyone, "Zwartberg") == {hidden}


@pytest.fixture(scope="module")
async def neighbors(database: Database) -> tuple[Town, Town, set[UUID]]:
    """Two organizations in which the same was said, and the ids of the second one's conversations."""
    towns = [await found_town(database) for _ in range(2)]
    ids = [await ask(town, *TEXTS.values(), f"canary-{town.organization.id}") for town in towns]
    return towns[0], towns[1], set(ids[1])


async def test_the_same_words_of_another_organization_are_never_found(neighbors, database_urls: Urls) -> None:
    here, there, foreign = neighbors
    own, other = here.organization.id, there.organization.id
    for search in SEARCHES:
        for asked in ("lantaarnpalen", "reverberes", "strassenlaternen", "streetlights", f"canary-{other}", "canary"):
            got = await searched(database_urls, search, own, asked)
            assert not foreign & set(got), asked
            assert set(await searched(database_urls, search, other, asked)) & foreign, f"{asked}: the control"
        for bound in (own, None, "", identifiers.new()):
            assert await searched(database_urls, search, bound, "lantaarnpalen", tenant=other) == []
        for tenant in (None, identifiers.new()):
            assert await searched(database_urls, search, own, "lantaarnpalen", tenant=tenant) == []
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            await searched(database_urls, search, "Robert'); DROP TABLE students; --", "lantaarnpalen", tenant=own)


async def test_organizations_whose_ids_end_alike_share_keys_and_no_rows(database_urls: Urls) -> None:
    tail, word = identifiers.new().hex[-8:], "zonnebloemen"
    ids = [UUID(hex=identifiers.new().hex[:-8] + tail) for _ in range(2)]
    conversations = {tenant: identifiers.new() for tenant in ids}
    async with connection_as(database_urls, "postgres") as admin:
        await admin.execute("set session_replication_role = replica")  # the rows around these are of no interest
        for tenant, conversation_id in conversations.items():
            await admin.execute(
                "insert into belfry.message (tenant_id, conversation_id, social_account_id, network, server_host,"
                " direction, visibility, author_kind, text, text_at, occurred_at, version) values ($1, $2, $2,"
                " 'BLUESKY', '', 'INBOUND', 'PUBLIC', 'CITIZEN', $3, now(), now(), 1)",
                tenant, conversation_id, f"Overal {word}",
            )  # fmt: skip
    for search in SEARCHES:
        for tenant, conversation_id in conversations.items():
            assert await searched(database_urls, search, tenant, word) == [conversation_id]
    third = UUID(hex=identifiers.new().hex[:-8] + tail)
    async with connection_as(database_urls, "postgres") as connection:
        await connection.execute("set role belfry_search")
        for bound, tenant, known in ((ids[0], ids[0], True), (third, third, False), (third, ids[0], False)):
            await connection.execute("select set_config('app.tenant_id', $1, false)", str(bound))
            parts = await connection.fetchval("select belfry.search_known($1, $2, '')", tenant, [word])
            assert bool(parts) is known, "that somebody else says a word is not told either"


PIECES = st.sampled_from(
    [
        *" '\"\\:*&|!()<->%_$;-",
        "<->",
        ":*",
        "''",
        "::tsquery",
        "--",
        "lantaarn",
        "LAMP",
        "canary",
        "é",
        "\u0301",
        "💡",
        "\t",
    ]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.one_of(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80),
                       st.lists(PIECES, max_size=40).map("".join)))  # fmt: skip
@example(asked="")
@example(asked="!&|()")
@example(asked="lantaarn " * 2_500)
@example(asked="x" * 20_000)
@example(asked="\\")
@example(asked=" ".join(chr(letter) * 39 for letter in range(97, 110)))
async def test_whatever_is_asked_is_answered_without_a_foreign_row(neighbors, database_urls: Urls, asked: str) -> None:
    here, _, foreign = neighbors
    for search in SEARCHES:
        assert not foreign & set(await searched(database_urls, search, here.organization.id, asked))


async def test_nothing_is_asked_and_nothing_found(neighbors, database_urls: Urls) -> None:
    here = neighbors[0].organization.id
    for search in SEARCHES:
        for asked in (None, "", "  ", "!!! …", "'"):
            assert await searched(database_urls, search, here, asked) == []
        for most in (0, -1, None):
            assert await searched(database_urls, search, here, "streetlights", most=most) == []


async def test_of_too_many_the_newest_are_given(database: Database, database_urls: Urls) -> None:
    town = await found_town(database)
    ids = []
    for day in range(5):
        ids += await ask(town, f"Paddenstoel nummer {day}", at=START + timedelta(days=day), handle=FORM)
    for search in SEARCHES:
        assert await searched(database_urls, search, town.organization.id, "paddenstoel", most=3) == ids[:1:-1]


async def test_only_the_application_may_search_and_only_by_the_two_searches(database_urls: Urls) -> None:
    tenant = identifiers.new()
    calls = [f"select belfry.{search}($1, 'lamp', 1)" for search in SEARCHES]
    known = "select belfry.search_known($1, array['lamp'], '')"
    for role, refused in {
        "belfry_relay": [*calls, known], "belfry_auditor": [*calls, known], "belfry_app": [known]
    }.items():  # fmt: skip
        async with connection_as(database_urls, role) as connection:
            for call in refused:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(call, tenant)
            with pytest.raises(asyncpg.InsufficientPrivilegeError), statements.unwatched():
                await connection.execute("set role belfry_search")


async def test_the_searching_role_reads_the_searched_columns_and_nothing_else(database_urls: Urls) -> None:
    async with connection_as(database_urls, "postgres") as connection:
        await connection.execute("set role belfry_search")
        await connection.fetch("select tenant_id, conversation_id, visibility, text, occurred_at from belfry.message")
        for refused in (
            "select * from belfry.message",
            "select external_id from belfry.message",
            "select email from belfry.contact",
            "select thread_key from belfry.conversation",
            "select name from belfry.department",
            "select name from belfry.person",
            "update belfry.message set text = ''",
            "insert into belfry.contact (tenant_id) values (uuidv7())",
            "delete from belfry.conversation",
            "select text from belfry.message for update",
            "create table belfry.mine (id int)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(refused)
