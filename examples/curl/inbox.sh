#!/bin/sh
# SPDX-License-Identifier: EUPL-1.2
# Lists what waits for somebody, the most urgent first: ./inbox.sh 30
set -eu
. "$(dirname -- "$0")/belfry.sh"

data=$(ask 'query Inbox($first: Int!) {
  conversations(first: $first, filter: { state: { neq: CLOSED } }) {
    nodes { id state category { name } lastMessage { text } }
  }
}' "{\"first\": ${1:-10}}")
printf '%s' "$data" | jq -r '.conversations.nodes[] | "\(.id)  \(.state)  \(.category.name // "–")  \(.lastMessage.text // "" | .[:60])"'
