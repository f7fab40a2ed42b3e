# SPDX-License-Identifier: EUPL-1.2
"""What happened to organizations, departments and memberships."""

from dataclasses import dataclass
from uuid import UUID

from services.kernel.access import Role
from services.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class OrganizationFounded(Event, kind="organization.founded", subject="organization_id"):
    organization_id: UUID


@dataclass(frozen=True, kw_only=True)
class DepartmentAdded(Event, kind="department.added", subject="department_id"):
    department_id: UUID


@dataclass(frozen=True, kw_only=True)
class MemberAdded(Event, kind="membership.added", subject="membership_id"):
    membership_id: UUID


@dataclass(frozen=True, kw_only=True)
class RoleGranted(Event, kind="membership.role_granted", subject="membership_id"):
    membership_id: UUID
    role: Role
    department_id: UUID | None
