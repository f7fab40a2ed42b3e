# SPDX-License-Identifier: EUPL-1.2
"""`python -m services.cli`, which is what ./belfry becomes."""

from services.cli import main

if __name__ == "__main__":
    main()
