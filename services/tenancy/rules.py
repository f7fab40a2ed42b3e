# SPDX-License-Identifier: EUPL-1.2
"""What an organization may be and how departments nest."""

import re
from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

from services.kernel.errors import DomainError, Invalid

SLUG = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
CODE = re.compile(r"[A-Z][A-Z0-9]{1,11}")
NAME_LENGTH_MAX = 200
DEPARTMENT_DEPTH_MAX = 8


class OrganizationKind(StrEnum):
    MUNICIPALITY = "MUNICIPALITY"
    WELFARE_CENTER = "WELFARE_CENTER"
    POLICE_ZONE = "POLICE_ZONE"
    RESCUE_ZONE = "RESCUE_ZONE"
    PROVINCE = "PROVINCE"
    WATER_AUTHORITY = "WATER_AUTHORITY"


class OrganizationState(StrEnum):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class DepartmentIsUnknown(DomainError):
    code = "DEPARTMENT_IS_UNKNOWN"
    message = "There is no such department in this organization."


def check_slug(slug: str) -> None:
    if not SLUG.fullmatch(slug):
        raise Invalid("A slug has 3 to 40 lower-case letters, digits and hyphens.", field=("slug",))


def check_code(code: str) -> None:
    if not CODE.fullmatch(code):
        raise Invalid("A department code has 2 to 12 capital letters and digits.", field=("code",))


def with_descendants(department_id: UUID, parents: Mapping[UUID, UUID | None]) -> frozenset[UUID]:
    """The department and all below it. `parents` maps every department to the one above it, or to None."""
    found = {department_id}
    for _ in range(DEPARTMENT_DEPTH_MAX):
        below = {child for child, parent in parents.items() if parent in found} - found
        if not below:
            break
        found |= below
    return frozenset(found)
