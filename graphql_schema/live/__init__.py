# SPDX-License-Identifier: EUPL-1.2
"""Live events: from the outbox of an organization to everybody who watches it."""
