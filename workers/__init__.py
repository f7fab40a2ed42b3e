# SPDX-License-Identifier: EUPL-1.2
"""The background edge: carries what is due to the handlers that do it."""
