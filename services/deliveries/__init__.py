# SPDX-License-Identifier: EUPL-1.2
"""Everything Belfry publishes: at most once unless proven absent, never silently not at all."""
