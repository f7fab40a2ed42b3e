# SPDX-License-Identifier: EUPL-1.2
"""Who works on what: claims and their history."""
