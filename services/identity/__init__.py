# SPDX-License-Identifier: EUPL-1.2
"""People and the credentials by which they are known."""
