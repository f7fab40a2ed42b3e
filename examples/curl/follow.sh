#!/bin/sh
# SPDX-License-Identifier: EUPL-1.2
# Follows live events as server-sent events, and resumes behind the last one: ./follow.sh <how many> <cursor file>
set -eu
. "$(dirname -- "$0")/belfry.sh"
wanted=${1:-0} file=${2:-cursor.txt} # 0: without end

document='subscription Follow($after: String) {
  conversationEvents(after: $after) { event cursor nodeId node { state } }
}'
one_stream() {
    jq -n --arg query "$document" --arg after "$(cat "$file" 2>/dev/null)" \
        '{$query, variables: {after: (if $after == "" then null else $after end)}}' |
        curl -sSN "$BELFRY_URL/graphql" --data-binary @- -H "Authorization: Bearer $BELFRY_TOKEN" \
            -H 'Content-Type: application/json' -H 'Accept: text/event-stream'
}

seen=0
while :; do
    # Lines of an event are `event: next` and `data: {…}`; a line with a colon alone keeps the connection open.
    one_stream | while IFS= read -r line; do
        case $line in
            'data: {'*) event=$(printf '%s' "${line#data: }" | jq -ec .data.conversationEvents) || exit 1 ;;
            '{"errors"'*) printf '%s\n' "$line" >&2; exit 1 ;;
            *) continue ;;
        esac
        printf '%s' "$event" | jq -r '"\(.event)  \(.nodeId // "")  \(.node.state // "")"'
        printf '%s' "$event" | jq -rj .cursor >"$file" # once it is dealt with: events come at least once
        seen=$((seen + 1))
        [ "$seen" -ne "$wanted" ] || exit 3
    done && status=0 || status=$?
    [ "$status" -ne 3 ] || exit 0
    sleep 1
done
