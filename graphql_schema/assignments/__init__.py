# SPDX-License-Identifier: EUPL-1.2
"""Who works on what, in the schema."""
