# SPDX-License-Identifier: EUPL-1.2
"""What other systems are told, and what is handed out to them: webhooks and exports."""
