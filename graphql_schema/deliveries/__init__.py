# SPDX-License-Identifier: EUPL-1.2
"""What is published, in the schema."""
