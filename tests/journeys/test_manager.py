# SPDX-License-Identifier: EUPL-1.2
"""What a manager can defend in council: every figure has its numerator, denominator, n and instant, or is null."""

from decimal import Decimal

from services.demo.organizations import MOLENDAM, WATERRODE
from tests.support.installation import Client, Installation

RESPONSE_TIME = """{ responseTime { since until asOf definitionVersion n medianWallSeconds p90WallSeconds
    medianOpenSeconds censoredMedianWallSeconds censoredMedianAtLeastWallSeconds
    answeredShare answeredShareNumerator answeredShareDenominator } }"""
OUTBOUND_MIX = """{ outboundMix { since until asOf n starterCount reshareCount replyCount proactiveCount
    interactionRatio megaphoneRatio reshareShare denominator } }"""


async def test_the_manager_sees_figures_over_the_demo_history(installation: Installation) -> None:
    async with installation.person("molendam", "manager") as manager:
        response = (await manager.ask(RESPONSE_TIME))["responseTime"]
        mix = (await manager.ask(OUTBOUND_MIX))["outboundMix"]
    assert response["n"] > 0 and response["asOf"] and response["definitionVersion"] == 1
    assert 0 < response["medianWallSeconds"] <= response["p90WallSeconds"]
    assert response["medianOpenSeconds"] is None  # there are no opening hours yet, so there is no open time: not zero
    share = Decimal(response["answeredShareNumerator"]) / Decimal(response["answeredShareDenominator"])
    assert abs(Decimal(response["answeredShare"]) - share) < Decimal("0.0001")
    counted = mix["starterCount"] + mix["reshareCount"] + mix["replyCount"] + mix["proactiveCount"]
    assert counted == mix["denominator"] == mix["n"] > 0
    ratios = [Decimal(mix[name]) for name in ("interactionRatio", "megaphoneRatio", "reshareShare")]
    assert abs(sum(ratios) - 1) < Decimal("0.001")


async def test_a_period_without_anything_has_no_value_rather_than_zero(installation: Installation) -> None:
    empty = 'since: "2001-01-01T00:00:00Z", until: "2001-02-01T00:00:00Z"'
    async with installation.person("molendam", "manager") as manager:
        mix = f"outboundMix({empty}) {{ n interactionRatio }}"
        found = await manager.ask(f"{{ {mix} responseTime({empty}) {{ n medianWallSeconds answeredShare }} }}")
    assert found["outboundMix"] == {"n": 0, "interactionRatio": None}
    assert found["responseTime"] == {"n": 0, "medianWallSeconds": None, "answeredShare": None}


async def test_every_role_knows_who_it_is(installation: Installation) -> None:
    document = "{ viewer { person { name } organization { name slug } roles permissions } }"
    for organization in ("molendam", "waterrode"):
        for role in ("operator", "coordinator", "manager", "admin", "expert", "viewer"):
            async with installation.person(organization, role) as client:
                viewer = (await client.ask(document))["viewer"]
            assert viewer["organization"]["slug"] == organization
            assert viewer["roles"] == [role.upper()] and viewer["person"]["name"]


async def test_the_demo_register_has_nine_accounts_and_one_for_crises_only(installation: Installation) -> None:
    document = "{ socialAccounts(first: 100) { nodes { handle purpose } } departments(first: 100) { totalCount } }"
    seen: dict[str, list[str]] = {}
    departments: dict[str, int] = {}
    for plan in (MOLENDAM, WATERRODE):
        async with installation.person(plan.slug, "admin") as admin:
            found = await admin.ask(document)
        departments[plan.slug] = found["departments"]["totalCount"]
        handles = {each.handle for each in plan.accounts}  # other journeys register accounts of their own beside them
        nodes = found["socialAccounts"]["nodes"]
        seen[plan.slug] = [each["purpose"] for each in nodes if each["handle"] in handles]
    assert departments == {"molendam": 12, "waterrode": 3}
    assert (len(seen["molendam"]), seen["molendam"].count("CRISIS_ONLY"), len(seen["waterrode"])) == (9, 1, 2)


async def test_credentials_cannot_be_read(installation: Installation, coordinator: Client) -> None:
    document = '{ __type(name: "SocialAccount") { fields { name } } }'
    names = {field["name"] for field in (await coordinator.ask(document))["__type"]["fields"]}
    assert not [
        name for name in names if any(word in name.lower() for word in ("secret", "token", "credential", "password"))
    ]
