# SPDX-License-Identifier: EUPL-1.2
"""Who may do what: roles, permissions and the actor. Deny by default: an act missing here is denied.

A permission is named `area:act`. `ROLE_PERMISSIONS` says for every act which role may do it, and how far it reaches:

    O  the whole organization; a grant for one department narrows it to D
    D  the actor's own departments and all departments below them; a grant for the whole organization makes it O
    C  conversations that the actor holds or collaborates on; after a claim ended also the last holder's
    S  the actor's own

Rights of several roles add up. Machines (API clients) have no roles: `SCOPE_PERMISSIONS` says what each scope opens. What
a scope opens reaches the whole organization except what is confidential, and nothing else is open to a machine: it
holds no claims, answers nobody and approves nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from services.kernel.errors import Forbidden


class Role(StrEnum):
    """What a person is in an organization."""

    ADMIN = "ADMIN"
    MANAGER = "MANAGER"
    COORDINATOR = "COORDINATOR"
    OPERATOR = "OPERATOR"
    EXPERT = "EXPERT"
    VIEWER = "VIEWER"


class Permission(StrEnum):
    """Every act that is guarded, `area:act`."""

    BELFRY_WORK = "belfry:work"
    ORGANIZATION_FOUND = "organizations:found"
    INTEGRATION_MANAGE = "integrations:manage"
    DIRECTORY_READ = "directory:read"
    METRICS_READ = "metrics:read"
    SOCIAL_ACCOUNT_READ = "social_accounts:read"
    SOCIAL_ACCOUNT_REGISTER = "social_accounts:register"
    SOCIAL_ACCOUNT_CONNECT = "social_accounts:connect"
    CONVERSATION_READ = "conversations:read"
    CONVERSATION_READ_PRIVATE = "conversations:read_private"
    CONVERSATION_CLAIM = "conversations:claim"
    CONVERSATION_TAKE_OVER = "conversations:take_over"
    CONVERSATION_REPLY = "conversations:reply"
    CONVERSATION_CLOSE = "conversations:close"
    DELIVERY_RESOLVE = "deliveries:resolve"
    EXPORT_READ = "exports:read"


class Reach(StrEnum):
    """How far a right goes; see the module's first lines."""

    ORGANIZATION = "O"
    DEPARTMENTS = "D"
    HELD = "C"
    OWN = "S"


O, D, C = Reach.ORGANIZATION, Reach.DEPARTMENTS, Reach.HELD  # noqa: E741  the letters of the table below

# fmt: off
ROLE_PERMISSIONS: Mapping[Permission, Mapping[Role, Reach]] = {
    Permission.BELFRY_WORK:               {},  # nobody: what Belfry does by itself
    Permission.ORGANIZATION_FOUND:        {},  # nobody: Belfry itself, for a new installation
    Permission.INTEGRATION_MANAGE:        {Role.ADMIN: O},
    Permission.DIRECTORY_READ:            {Role.ADMIN: O, Role.MANAGER: O, Role.COORDINATOR: O, Role.OPERATOR: O, Role.EXPERT: O, Role.VIEWER: O},
    Permission.METRICS_READ:              {Role.ADMIN: O, Role.MANAGER: D, Role.COORDINATOR: O, Role.OPERATOR: D, Role.EXPERT: D, Role.VIEWER: O},
    Permission.SOCIAL_ACCOUNT_READ:       {Role.ADMIN: O, Role.MANAGER: D, Role.COORDINATOR: O, Role.OPERATOR: D, Role.EXPERT: D, Role.VIEWER: O},
    Permission.SOCIAL_ACCOUNT_REGISTER:   {Role.ADMIN: O, Role.MANAGER: D, Role.COORDINATOR: O},
    Permission.SOCIAL_ACCOUNT_CONNECT:    {Role.ADMIN: O, Role.COORDINATOR: O},
    Permission.CONVERSATION_READ:         {Role.MANAGER: D, Role.COORDINATOR: O, Role.OPERATOR: D, Role.EXPERT: C},
    Permission.CONVERSATION_READ_PRIVATE: {Role.COORDINATOR: O, Role.OPERATOR: D, Role.EXPERT: C},
    Permission.CONVERSATION_CLAIM:        {Role.COORDINATOR: O, Role.OPERATOR: D},
    Permission.CONVERSATION_TAKE_OVER:    {Role.COORDINATOR: O},
    Permission.CONVERSATION_REPLY:        {Role.COORDINATOR: C, Role.OPERATOR: C},
    Permission.CONVERSATION_CLOSE:        {Role.COORDINATOR: O, Role.OPERATOR: C},
    Permission.DELIVERY_RESOLVE:          {Role.COORDINATOR: O, Role.OPERATOR: C},
    Permission.EXPORT_READ:               {Role.ADMIN: O, Role.COORDINATOR: O},
}
# fmt: on


class Scope(StrEnum):
    """What an API client may be allowed, as it is written in a token and in the schema."""

    METRICS_READ = "metrics:read"
    SOCIAL_ACCOUNTS_WRITE = "social_accounts:write"
    CONVERSATIONS_READ = "conversations:read"
    CONVERSATIONS_READ_PRIVATE = "conversations:read_private"
    EXPORTS_READ = "exports:read"


SCOPE_PERMISSIONS: Mapping[Scope, frozenset[Permission]] = {
    Scope.METRICS_READ: frozenset({Permission.METRICS_READ, Permission.SOCIAL_ACCOUNT_READ}),
    Scope.SOCIAL_ACCOUNTS_WRITE: frozenset({Permission.SOCIAL_ACCOUNT_READ, Permission.SOCIAL_ACCOUNT_REGISTER}),
    Scope.CONVERSATIONS_READ: frozenset({Permission.CONVERSATION_READ}),
    Scope.CONVERSATIONS_READ_PRIVATE: frozenset({Permission.CONVERSATION_READ_PRIVATE}),
    Scope.EXPORTS_READ: frozenset({Permission.EXPORT_READ}),
}
OPEN_TO_EVERY_CLIENT = frozenset({Permission.DIRECTORY_READ})


class ActorKind(StrEnum):
    """What acts: a person, a machine with credentials, a rule of the organization, or Belfry itself."""

    PERSON = "PERSON"
    API_CLIENT = "API_CLIENT"
    RULE = "RULE"
    SYSTEM = "SYSTEM"


@dataclass(frozen=True, slots=True)
class Grant:
    """One role. `departments` holds the granted department and all below it; None means the whole organization."""

    role: Role
    departments: frozenset[UUID] | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """How far one permission of one actor goes, over all roles."""

    everywhere: bool = False
    coordinates: bool = False
    departments: frozenset[UUID] = frozenset()
    held: bool = False

    @property
    def nowhere(self) -> bool:
        return not (self.everywhere or self.departments or self.held)


@dataclass(frozen=True)
class Actor:
    """Who acts, in which organization, with which rights. Frozen: made once for a request, a job or an event.

    `cause` is the id of the event or job that made Belfry act by itself. `crowd` is given to an actor that stands for
    several people of equal rights: see `among`.
    """

    tenant_id: UUID
    kind: ActorKind = ActorKind.PERSON
    membership_id: UUID | None = None
    person_id: UUID | None = None
    client_id: UUID | None = None
    grants: tuple[Grant, ...] = ()
    scopes: frozenset[Scope] = frozenset()
    cause: UUID | None = None
    crowd: tuple[UUID, ...] | None = None
    # Not copied by dataclasses.replace(): a copy with other grants has other ranges.
    ranges: dict[Permission, Range] = field(
        init=False, default_factory=dict[Permission, Range], repr=False, compare=False
    )
    parameters: dict[str, Any] = field(init=False, default_factory=dict[str, Any], repr=False, compare=False)
    """What statements make of the actor, by the parameter's name: a crowd of a thousand is written down once."""

    @classmethod
    def system(cls, tenant_id: UUID, cause: UUID | None = None) -> "Actor":
        """Belfry itself, inside one organization."""
        return cls(tenant_id=tenant_id, kind=ActorKind.SYSTEM, cause=cause)

    @property
    def id(self) -> UUID:
        """The id that ledgers keep: the membership, the client, or for Belfry itself the organization."""
        return self.membership_id or self.client_id or self.tenant_id

    @cached_property
    def selves(self) -> tuple[UUID, ...]:
        """The memberships and clients whose own the actor sees as its own."""
        if self.crowd is not None:
            return self.crowd
        return tuple(each for each in (self.membership_id, self.client_id) if each is not None)

    def among(self, people: Iterable["Actor"] = ()) -> "Actor":
        """These rights without the person, and with what any of these people holds or takes part in; by itself: of none.

        What such an actor sees grows with the crowd. So when nobody in particular and everybody together see the same,
        each of these people sees that too.
        """
        crowd = tuple(sorted({each for person in people for each in person.selves}))
        return replace(self, membership_id=None, person_id=None, client_id=None, cause=None, crowd=crowd)

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        return tuple(sorted({grant.role for grant in self.grants}))

    @cached_property
    def permissions(self) -> tuple[Permission, ...]:
        """All acts that are open to the actor somewhere, in alphabetical order."""
        return tuple(sorted(permission for permission in Permission if not self.range_of(permission).nowhere))

    def may(self, permission: Permission) -> bool:
        return not self.range_of(permission).nowhere

    def require(self, permission: Permission) -> None:
        """The first line of every command: refuse who could not do this to any row."""
        if not self.may(permission):
            raise Forbidden

    def range_of(self, permission: Permission) -> Range:
        if permission not in self.ranges:
            self.ranges[permission] = _range(self, permission)
        return self.ranges[permission]


def _range(actor: Actor, permission: Permission) -> Range:
    if actor.kind is ActorKind.SYSTEM:
        return Range(everywhere=True, coordinates=True, held=True)
    if actor.kind is ActorKind.API_CLIENT:
        opened = OPEN_TO_EVERY_CLIENT.union(*(SCOPE_PERMISSIONS[scope] for scope in actor.scopes))
        return Range(everywhere=permission in opened)
    reaches = ROLE_PERMISSIONS[permission]
    granted = [(grant, reaches[grant.role]) for grant in actor.grants if grant.role in reaches]
    return Range(
        everywhere=any(grant.departments is None and reach in (O, D) for grant, reach in granted),
        coordinates=any(grant.role is Role.COORDINATOR and grant.departments is None for grant, _ in granted),
        departments=_union(grant.departments or frozenset() for grant, reach in granted if reach in (O, D)),
        held=any(reach in (O, D, C) for _, reach in granted),
    )


def _union(sets: Iterable[frozenset[UUID]]) -> frozenset[UUID]:
    return frozenset().union(*sets)
