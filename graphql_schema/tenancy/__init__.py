# SPDX-License-Identifier: EUPL-1.2
"""Organizations, departments and colleagues in the schema."""
