# SPDX-License-Identifier: EUPL-1.2
"""What citizens ask, where it is routed, who holds it, and what was answered."""
