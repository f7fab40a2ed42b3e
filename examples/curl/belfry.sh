# SPDX-License-Identifier: EUPL-1.2
# What the other scripts have in common. Needs curl and jq.
: "${BELFRY_URL:=http://127.0.0.1:8000}" "${BELFRY_TOKEN:?Put a token into BELFRY_TOKEN.}"

# ask <document> <variables as JSON>: the answer's data; errors go to standard error, and end the script.
ask() {
    jq -n --arg query "$1" --argjson variables "$2" '{$query, $variables}' |
        curl -sS "$BELFRY_URL/graphql" --data-binary @- -H "Authorization: Bearer $BELFRY_TOKEN" \
            -H 'Content-Type: application/json' -H 'Accept: application/graphql-response+json' |
        jq -e 'if .errors then (.errors[] | "\(.extensions.code): \(.message)" | halt_error) else .data end'
}

# refuse <path of the payload>: what a person can repair is data; compare the code, show the message.
refuse() {
    jq -e "$1"' | if .userErrors == [] then . else (.userErrors[] | "\(.code): \(.message)\n" | halt_error) end' >/dev/null
}
