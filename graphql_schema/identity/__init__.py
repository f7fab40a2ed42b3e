# SPDX-License-Identifier: EUPL-1.2
"""Who is asking, in the schema."""
