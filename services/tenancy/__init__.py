# SPDX-License-Identifier: EUPL-1.2
"""Organizations, their departments, and who belongs to them."""
