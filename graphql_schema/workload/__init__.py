# SPDX-License-Identifier: EUPL-1.2
"""Figures about the work, in the schema."""
