# SPDX-License-Identifier: EUPL-1.2
"""Founding an organization of the demo through the commands that found any other one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.conversations import rules
from services.conversations.models import Category, CategoryDepartment, RoutingRule
from services.demo.plans import OrganizationPlan
from services.kernel.database import UnitOfWork
from services.social_accounts import commands as social_accounts
from services.social_accounts.models import SocialAccount
from services.tenancy import commands as tenancy

MINUTE = timedelta(minutes=1)
REVIEW_AFTER = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Ground:
    """What an organization's history stands on: ids by the names that its plan uses."""

    tenant_id: UUID
    departments: Mapping[str, UUID]
    members: Mapping[str, UUID]
    accounts: Mapping[str, UUID]
    categories: Mapping[str, UUID]
    table: tuple[rules.Rule, ...]
    routes: dict[tuple[str, UUID], rules.Route] = field(default_factory=dict[tuple[str, UUID], rules.Route])

    def route(self, text: str, account_id: UUID) -> rules.Route:
        """Where the routing rules send a text. The same text goes the same way, so it is asked once."""
        if (text, account_id) not in self.routes:
            self.routes[text, account_id] = rules.route(text, account_id=account_id, rules=self.table)
        return self.routes[text, account_id]

    def category_name(self, category_id: UUID | None) -> str | None:
        return next((name for name, each in self.categories.items() if each == category_id), None)


async def found(uow: UnitOfWork, plan: OrganizationPlan, people: Mapping[str, UUID], founded_at: datetime) -> Ground:
    """The organization with its departments, members, accounts, topics and routing rules.

    Members and accounts bear instants from `founded_at` on, a minute apart, so that their order is the plan's.
    """
    await tenancy.found_organization(
        uow, slug=plan.slug, name=plan.name, locales=[plan.locale], zone=plan.zone, region=plan.region
    )
    departments = await _departments(uow, plan)
    members = await _members(uow, plan, people, departments, founded_at)
    accounts = await _accounts(uow, plan, departments, founded_at)
    categories = _categories(uow, plan, departments)
    routing = _routing_rules(uow, plan, categories, accounts)
    await uow.flush()
    return Ground(uow.tenant_id, departments, members, accounts, categories, routing)


async def _departments(uow: UnitOfWork, plan: OrganizationPlan) -> dict[str, UUID]:
    departments: dict[str, UUID] = {}
    for each in plan.departments:
        added = await tenancy.add_department(
            uow,
            code=each.code,
            name=each.name,
            parent_id=departments[each.above] if each.above else None,
            is_coordination_desk=each.is_coordination_desk,
            can_direct=each.can_direct,
        )
        departments[each.code] = added.id
    return departments


async def _members(
    uow: UnitOfWork,
    plan: OrganizationPlan,
    people: Mapping[str, UUID],
    departments: Mapping[str, UUID],
    founded_at: datetime,
) -> dict[str, UUID]:
    members: dict[str, UUID] = {}
    for place, each in enumerate(plan.people):
        member = await tenancy.add_member(uow, person_id=people[each.key], name=each.name)
        member.created_at = founded_at + place * MINUTE
        members[each.key] = member.id
        for role, code in each.roles:
            department_id = departments[code] if code else None
            await tenancy.grant_role(uow, membership_id=member.id, role=role, department_id=department_id)
    return members


async def _accounts(
    uow: UnitOfWork, plan: OrganizationPlan, departments: Mapping[str, UUID], founded_at: datetime
) -> dict[str, UUID]:
    accounts: dict[str, UUID] = {}
    for place, each in enumerate(plan.accounts):
        account: SocialAccount = await social_accounts.register(
            uow,
            network=each.network,
            handle=each.handle,
            department_id=departments[each.department],
            purpose=each.purpose,
        )
        account.server_host, account.display_name = each.server_host, each.display_name
        account.deputy_email = f"{each.deputy}@{plan.slug}.example" if each.deputy else None
        account.audiences, account.review_on = list(each.audiences), (founded_at + REVIEW_AFTER).date()
        account.created_at = founded_at + place * MINUTE
        account.connected_at = account.created_at if account.connected_at else None
        accounts[each.handle] = account.id
    return accounts


def _categories(uow: UnitOfWork, plan: OrganizationPlan, departments: Mapping[str, UUID]) -> dict[str, UUID]:
    categories: dict[str, UUID] = {}
    for each in plan.categories:
        category = Category(
            tenant_id=uow.tenant_id,
            parent_id=categories[each.above] if each.above else None,
            name=each.name,
            sort_key=tenancy.sort_key(each.name),
            formal=each.formal,
            confidential=each.confidential,
            hard=each.hard,
            e_service_url=each.e_service_url,
        )
        categories[each.name] = category.id
        uow.add(category)
        for code in dict.fromkeys((each.responsible, *each.viewers)):
            if code is not None:
                uow.add(
                    CategoryDepartment(
                        tenant_id=uow.tenant_id,
                        category_id=category.id,
                        department_id=departments[code],
                        is_responsible=code == each.responsible,
                    )
                )
    return categories


def _routing_rules(
    uow: UnitOfWork, plan: OrganizationPlan, categories: Mapping[str, UUID], accounts: Mapping[str, UUID]
) -> tuple[rules.Rule, ...]:
    table: list[rules.Rule] = []
    for place, each in enumerate(plan.rules, start=1):
        account_id = accounts[each.account] if each.account else None
        row = RoutingRule(
            tenant_id=uow.tenant_id,
            position=place * 10,
            name=f"{each.category} ({each.account})" if each.account else each.category,
            keywords=list(each.keywords),
            social_account_id=account_id,
            category_id=categories[each.category],
        )
        uow.add(row)
        table.append(rules.Rule(row.id, row.name, tuple(row.keywords), row.category_id, account_id))
    return tuple(table)
