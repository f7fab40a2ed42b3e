# SPDX-License-Identifier: EUPL-1.2
"""The shared kernel: small, stable, imports no domain."""
