# SPDX-License-Identifier: EUPL-1.2
"""What claimers were told, kept outside of the system under test."""
