# SPDX-License-Identifier: EUPL-1.2
"""Webhooks in the schema."""
