# SPDX-License-Identifier: EUPL-1.2
"""The register of an organization's accounts on social networks, and what comes in through them."""
