# SPDX-License-Identifier: EUPL-1.2
"""What Belfry does for other systems by itself: it tells them of events, and writes what was asked for."""

from services.integrations.handlers.exports import expire, export
from services.integrations.handlers.webhooks import deliver, follow, forget

__all__ = ["deliver", "expire", "export", "follow", "forget"]
