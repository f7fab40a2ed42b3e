# SPDX-License-Identifier: EUPL-1.2
"""Conversations in the schema."""
