# SPDX-License-Identifier: EUPL-1.2
"""Figures about the work: how long citizens wait, and how much is said compared with how much is asked."""
