# SPDX-License-Identifier: EUPL-1.2
"""What Belfry knows and does; knows nothing of GraphQL or of the queue."""
