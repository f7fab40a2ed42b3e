# SPDX-License-Identifier: EUPL-1.2
"""Who the demo's organizations are: exact numbers, every role, and nobody who exists."""

from collections import Counter
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import col, select

from services.conversations import rules
from services.conversations.models import Category, CategoryDepartment, Message, RoutingRule
from services.demo.organizations import ORGANIZATIONS
from services.demo.plans import OrganizationPlan
from services.identity.models import Person
from services.kernel import identifiers
from services.kernel.access import Actor, Role
from services.social_accounts.models import SocialAccount
from services.social_accounts.rules import Connection, Network, OutboundKind, Purpose
from services.tenancy import queries as tenancy
from services.tenancy.models import Department, Membership, Organization, RoleGrant

INVENTED = {"molendam": "verzonnen", "waterrode": "invent"}
FILL = {"street": "Wiekstraat", "number": "12", "day": "maandag"}


async def test_molendam_is_large(molendam):
    departments = await molendam.all(Department)
    assert len(departments) == 12
    assert [each.code for each in departments if each.is_coordination_desk] == ["WEBCARE"]
    above = {each.id: each.parent_id for each in departments}
    assert any(parent is not None for parent in above.values()), "a tree of two levels"
    assert all(parent is None or above[parent] is None for parent in above.values())
    accounts = await molendam.all(SocialAccount)
    assert Counter(each.network for each in accounts) == {
        Network.FACEBOOK: 5,
        Network.BLUESKY: 1,
        Network.X: 1,
        Network.MASTODON: 1,
        Network.WEBFORM: 1,
    }
    assert sum(each.purpose is Purpose.CRISIS_ONLY for each in accounts) == 1
    assert sum(each.purpose is Purpose.SERVICE for each in accounts) >= 1


async def test_waterrode_is_small(waterrode):
    assert len(await waterrode.all(Department)) == 3
    accounts = await waterrode.all(SocialAccount)
    assert len(accounts) == 2
    assert Network.WEBFORM in {each.network for each in accounts}


async def test_only_the_contact_form_is_connected(seeded):
    for account in await seeded.all(SocialAccount):
        is_form = account.network is Network.WEBFORM
        assert account.connection is (Connection.CONNECTED if is_form else Connection.UNMANAGED)
        assert account.crisis_posting_open is False


async def test_languages_and_zones(molendam, waterrode):
    dutch, french = (await molendam.all(Organization))[0], (await waterrode.all(Organization))[0]
    assert (dutch.locales, dutch.zone) == (["nl"], "Europe/Amsterdam")
    assert (french.locales, french.zone) == (["fr"], "Europe/Brussels")
    assert ZoneInfo(dutch.zone) != ZoneInfo(french.zone)


async def test_every_role_has_a_person_and_the_plan_decides_who_is_first(seeded):
    async with seeded.database.snapshot(Actor.system(seeded.tenant_id)) as snapshot:
        for role in Role:
            members = await tenancy.members_in_role(snapshot, role)
            planned = [each.name for each in seeded.plan.people if role in {granted for granted, _ in each.roles}]
            assert [each.name for each in members] == planned != []


async def test_molendam_has_operators_in_several_departments(molendam):
    grants = [each for each in await molendam.all(RoleGrant) if each.role is Role.OPERATOR]
    assert len({each.department_id for each in grants}) >= 5
    assert 3 <= len({each.membership_id for each in grants}) <= 10


async def test_every_address_belongs_to_nobody(demo, seeded):
    members = await seeded.all(Membership)
    async with demo.database.directory() as directory:
        people = await directory.scalars(select(Person).where(col(Person.id).in_([each.person_id for each in members])))
    assert len(people) == len(members) == len(seeded.plan.people)
    assert all(each.email.endswith(f"@{seeded.plan.slug}.example") for each in people)
    accounts = await seeded.all(SocialAccount)
    assert all(each.deputy_email is None or each.deputy_email.endswith(".example") for each in accounts)


async def test_topics_have_two_levels_and_exactly_one_gap(seeded):
    categories = await seeded.by_id(Category)
    relations = await seeded.all(CategoryDepartment)
    responsible = {each.category_id for each in relations if each.is_responsible}
    assert len(categories.keys() - responsible) == 1
    assert {each.parent_id is None for each in categories.values()} == {True, False}
    assert all(each.parent_id is None or categories[each.parent_id].parent_id is None for each in categories.values())
    assert sum(each.formal and bool(each.e_service_url) for each in categories.values()) == 1
    assert sum(each.confidential for each in categories.values()) == 1
    assert any(not each.is_responsible and each.can_view for each in relations)


async def test_every_organization_says_that_it_is_invented(seeded):
    word = INVENTED[seeded.plan.slug]
    assert word in ((await seeded.all(Organization))[0].region or "")
    posts: dict[object, list[Message]] = {}
    for message in await seeded.all(Message):
        if message.outbound_kind is OutboundKind.STARTER:
            posts.setdefault(message.social_account_id, []).append(message)
    speaking = {each.id for each in await seeded.all(SocialAccount) if each.purpose is not Purpose.CRISIS_ONLY}
    for account_id in posts.keys() & speaking:
        first = min(posts[account_id], key=lambda message: message.occurred_at)
        assert word in first.text


async def test_routing_rules_are_in_order_and_one_is_for_one_account(molendam):
    positions = [each.position for each in await molendam.all(RoutingRule)]
    assert len(set(positions)) == len(positions) == len(molendam.plan.rules)
    assert sum(each.social_account_id is not None for each in await molendam.all(RoutingRule)) == 1


@pytest.mark.parametrize("plan", ORGANIZATIONS, ids=lambda plan: plan.slug)
def test_every_question_finds_its_own_topic(plan: OrganizationPlan):
    categories = {each.name: identifiers.new() for each in plan.categories}
    table = [
        rules.Rule(identifiers.new(), each.category, each.keywords, categories[each.category]) for each in plan.rules
    ]
    topics = [*plan.topics, *([plan.crisis.topic] if plan.crisis else [])]
    for topic in topics:
        for street in plan.voice.streets:
            for question in topic.questions:
                found = _route(question.text, table, street)
                assert found == (categories[topic.category] if topic.category else None), question.text
            for question in topic.vague:
                assert _route(question.text, table, street) is None, question.text


@pytest.mark.parametrize("plan", ORGANIZATIONS, ids=lambda plan: plan.slug)
def test_a_compliment_or_an_advertisement_finds_no_topic(plan: OrganizationPlan):
    table = [rules.Rule(identifiers.new(), each.category, each.keywords, identifiers.new()) for each in plan.rules]
    for question in (*plan.voice.compliments, *plan.voice.spam):
        assert _route(question.text, table, "Wiekstraat") is None, question.text


@pytest.mark.parametrize("plan", ORGANIZATIONS, ids=lambda plan: plan.slug)
def test_every_question_has_an_answer_and_what_is_asked_back_is_told(plan: OrganizationPlan):
    for topic in plan.topics:
        for question in (*topic.questions, *topic.vague):
            assert question.answer
            assert bool(question.ask_back) == bool(question.told)
        assert topic.category is None or topic.category in plan.by_category


def _route(text: str, table: list[rules.Rule], street: str) -> object:
    fill: Mapping[str, str] = {**FILL, "street": street}
    return rules.route(text.format_map(fill), account_id=identifiers.new(), rules=table).category_id
