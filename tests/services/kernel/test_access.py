# SPDX-License-Identifier: EUPL-1.2
"""Who may do what, against a plain copy of the table of roles; and how far a grant reaches down the departments."""

from dataclasses import replace
from itertools import combinations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.access import ROLE_PERMISSIONS, Actor, ActorKind, Grant, Permission, Range, Reach, Role, Scope
from services.kernel.errors import Forbidden
from services.kernel.identifiers import new
from services.kernel.isolation import actor_values
from services.tenancy.rules import DEPARTMENT_DEPTH_MAX, with_descendants

ROLES = (Role.ADMIN, Role.MANAGER, Role.COORDINATOR, Role.OPERATOR, Role.EXPERT, Role.VIEWER)
# Copied by hand. O the whole organization, D own departments and those below, C what is held, taken part in or was held
# last, T own tasks (which are participations), - denied.
TABLE = {
    #                                        ADMIN MANAGER COORDINATOR OPERATOR EXPERT VIEWER
    Permission.ORGANIZATION_FOUND:         ("-", "-", "-", "-", "-", "-"),
    Permission.BELFRY_WORK:                ("-", "-", "-", "-", "-", "-"),
    Permission.INTEGRATION_MANAGE:         ("O", "-", "-", "-", "-", "-"),
    Permission.DIRECTORY_READ:             ("O", "O", "O", "O", "O", "O"),
    Permission.METRICS_READ:               ("O", "D", "O", "D", "D", "O"),
    Permission.SOCIAL_ACCOUNT_READ:        ("O", "D", "O", "D", "D", "O"),
    Permission.SOCIAL_ACCOUNT_REGISTER:    ("O", "D", "O", "-", "-", "-"),
    Permission.SOCIAL_ACCOUNT_CONNECT:     ("O", "-", "O", "-", "-", "-"),
    Permission.CONVERSATION_READ:          ("-", "D", "O", "D", "T", "-"),
    Permission.CONVERSATION_READ_PRIVATE:  ("-", "-", "O", "D", "T", "-"),
    Permission.CONVERSATION_CLAIM:         ("-", "-", "O", "D", "-", "-"),
    Permission.CONVERSATION_TAKE_OVER:     ("-", "-", "O", "-", "-", "-"),
    Permission.CONVERSATION_REPLY:         ("-", "-", "C", "C", "-", "-"),
    Permission.CONVERSATION_CLOSE:         ("-", "-", "O", "C", "-", "-"),
    Permission.DELIVERY_RESOLVE:           ("-", "-", "O", "C", "-", "-"),
    Permission.EXPORT_READ:                ("O", "-", "O", "-", "-", "-"),
}  # fmt: skip
REACHES = {"O": Reach.ORGANIZATION, "D": Reach.DEPARTMENTS, "C": Reach.HELD, "T": Reach.HELD}
OWN, BELOW, FOREIGN = UUID(int=1), UUID(int=2), UUID(int=3)
DEPARTMENTS = frozenset({OWN, BELOW})


def actor(*grants: Grant) -> Actor:
    return Actor(tenant_id=UUID(int=9), membership_id=UUID(int=8), grants=grants)


def test_the_table_names_every_permission_and_every_role() -> None:
    assert set(TABLE) == set(Permission) == set(ROLE_PERMISSIONS)
    assert set(ROLES) == set(Role)


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_the_table_says_and_nothing_else(role: Role, permission: Permission) -> None:
    letter = TABLE[permission][ROLES.index(role)]
    assert ROLE_PERMISSIONS[permission].get(role) == REACHES.get(letter)
    somebody = actor(Grant(role))
    if letter == "-":
        assert somebody.may(permission) is False
        with pytest.raises(Forbidden):
            somebody.require(permission)
    else:
        somebody.require(permission)
        assert permission in somebody.permissions


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("role", ROLES)
def test_a_grant_for_the_organization_widens_and_one_for_a_department_narrows(
    role: Role, permission: Permission
) -> None:
    letter = TABLE[permission][ROLES.index(role)]
    whole, narrow = actor(Grant(role)).range_of(permission), actor(Grant(role, DEPARTMENTS)).range_of(permission)
    assert whole.everywhere is (letter in "OD")
    assert narrow.everywhere is False
    assert narrow.departments == (DEPARTMENTS if letter in "OD" else frozenset())
    assert whole.held is narrow.held is (letter != "-")


def test_nobody_may_anything_without_a_grant() -> None:
    nobody = actor()
    assert nobody.permissions == ()
    assert all(nobody.range_of(permission) == Range() for permission in Permission)


def test_rights_of_several_roles_add_up() -> None:
    for one, other in combinations(ROLES, 2):
        both = actor(Grant(one, frozenset({OWN})), Grant(other, frozenset({BELOW})))
        for permission in Permission:
            parts = [actor(each).range_of(permission) for each in both.grants]
            joined = both.range_of(permission)
            assert joined.departments == parts[0].departments | parts[1].departments
            assert joined.held is (parts[0].held or parts[1].held)
            assert both.may(permission) is any(actor(each).may(permission) for each in both.grants)


def test_only_a_coordinator_of_the_whole_organization_coordinates() -> None:
    read = Permission.CONVERSATION_READ
    assert actor(Grant(Role.COORDINATOR)).range_of(read).coordinates is True
    assert actor(Grant(Role.COORDINATOR, DEPARTMENTS)).range_of(read).coordinates is False
    for role in set(Role) - {Role.COORDINATOR}:
        assert actor(Grant(role)).range_of(read).coordinates is False


def test_belfry_itself_may_everything_in_one_organization() -> None:
    system = Actor.system(UUID(int=9))
    assert set(system.permissions) == set(Permission)
    assert system.roles == ()
    assert system.id == UUID(int=9)


def test_a_rule_of_an_organization_has_no_rights_of_its_own() -> None:
    for kind in set(ActorKind) - {ActorKind.SYSTEM, ActorKind.API_CLIENT}:
        assert replace(actor(), kind=kind).permissions == ()


# Copied by hand: what a machine may, beside what every machine may.
SCOPES = {
    Scope.METRICS_READ: {Permission.METRICS_READ, Permission.SOCIAL_ACCOUNT_READ},
    Scope.SOCIAL_ACCOUNTS_WRITE: {Permission.SOCIAL_ACCOUNT_READ, Permission.SOCIAL_ACCOUNT_REGISTER},
    Scope.CONVERSATIONS_READ: {Permission.CONVERSATION_READ},
    Scope.CONVERSATIONS_READ_PRIVATE: {Permission.CONVERSATION_READ_PRIVATE},
    Scope.EXPORTS_READ: {Permission.EXPORT_READ},
}


@given(st.sets(st.sampled_from(Scope)), st.sampled_from(Role))
def test_a_machine_may_what_its_scopes_open_and_a_role_gives_it_nothing(scopes: set[Scope], role: Role) -> None:
    machine = replace(actor(Grant(role)), kind=ActorKind.API_CLIENT, scopes=frozenset(scopes))
    opened = {Permission.DIRECTORY_READ}.union(*(SCOPES[each] for each in scopes))
    assert set(machine.permissions) == opened
    for permission in Permission:
        found = machine.range_of(permission)
        assert (found.everywhere, found.coordinates, found.held) == (permission in opened, False, False)


def test_an_actor_cannot_be_changed_and_two_alike_are_equal_whatever_they_were_asked() -> None:
    one, other = actor(Grant(Role.OPERATOR)), actor(Grant(Role.OPERATOR))
    one.require(Permission.CONVERSATION_CLAIM)
    assert one == other
    with pytest.raises(AttributeError):
        one.tenant_id = UUID(int=1)  # pyright: ignore[reportAttributeAccessIssue]
    assert replace(one, tenant_id=UUID(int=1)) != one


def test_a_copy_of_an_actor_does_not_inherit_the_rights_it_was_asked_for() -> None:
    """The ranges are kept once worked out; a copy with fewer grants must work them out anew."""
    coordinator = actor(Grant(Role.COORDINATOR))
    coordinator.require(Permission.CONVERSATION_TAKE_OVER)
    assert coordinator.permissions
    demoted = replace(coordinator, grants=(Grant(Role.VIEWER),))
    assert demoted.may(Permission.CONVERSATION_TAKE_OVER) is False
    assert coordinator.may(Permission.CONVERSATION_TAKE_OVER) is True


def test_every_permission_reaches_the_statement_as_parameters() -> None:
    values = actor_values(actor(Grant(Role.OPERATOR, DEPARTMENTS)))
    assert values["actor_tenant"] == UUID(int=9)
    assert values["actor_selves"] == [UUID(int=8)]
    for permission in Permission:
        for part in ("everywhere", "coordinates", "held", "departments"):
            assert f"actor_{permission.name.lower()}_{part}" in values
    assert values["actor_conversation_read_departments"] == sorted(DEPARTMENTS)
    assert values["actor_sees_small_numbers"] is True
    assert actor_values(actor(Grant(Role.VIEWER)))["actor_sees_small_numbers"] is False
    assert actor_values(actor())["actor_sees_small_numbers"] is False


@st.composite
def trees(draw: st.DrawFn) -> dict[UUID, UUID | None]:
    """Departments with the one above them, at most as deep as an organization may nest."""
    parents: dict[UUID, UUID | None] = {}
    depth: dict[UUID, int] = {}
    for number in range(1, draw(st.integers(1, 15)) + 1):
        above = draw(st.sampled_from([None, *(each for each in parents if depth[each] < DEPARTMENT_DEPTH_MAX)]))
        parents[UUID(int=number)] = above
        depth[UUID(int=number)] = 0 if above is None else depth[above] + 1
    return parents


def is_below(child: UUID | None, top: UUID, parents: dict[UUID, UUID | None]) -> bool:
    """The oracle: walk up."""
    while child is not None:
        if child == top:
            return True
        child = parents[child]
    return False


@given(trees())
def test_a_grant_reaches_the_department_and_exactly_those_below(parents: dict[UUID, UUID | None]) -> None:
    for top in parents:
        assert with_descendants(top, parents) == {each for each in parents if is_below(each, top, parents)}


@given(trees())
def test_rights_flow_down_and_never_up_or_sideways(parents: dict[UUID, UUID | None]) -> None:
    for child, above in parents.items():
        if above is not None:
            assert with_descendants(child, parents) < with_descendants(above, parents)
    tops = [each for each, above in parents.items() if above is None]
    for one, other in combinations(tops, 2):
        assert not with_descendants(one, parents) & with_descendants(other, parents)


@given(trees(), st.data())
def test_a_circle_of_departments_ends_all_the_same(parents: dict[UUID, UUID | None], data: st.DataObject) -> None:
    some, other = data.draw(st.sampled_from(sorted(parents))), data.draw(st.sampled_from(sorted(parents)))
    circle = {**parents, some: other}
    assert with_descendants(some, circle) <= set(circle)


def test_an_unknown_department_reaches_only_itself() -> None:
    unknown = new()
    assert with_descendants(unknown, {OWN: None, BELOW: OWN}) == {unknown}
    assert FOREIGN not in with_descendants(OWN, {OWN: None, BELOW: OWN})
