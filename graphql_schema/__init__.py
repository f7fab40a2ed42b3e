# SPDX-License-Identifier: EUPL-1.2
"""The HTTP edge: one schema, and the app that serves it."""
