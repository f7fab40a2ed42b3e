# SPDX-License-Identifier: EUPL-1.2
"""The account register in the schema."""
