# SPDX-License-Identifier: EUPL-1.2
"""Declared reads: what a type is made of is said once, and the reads are made from it. Start in `mapping.py`."""
