#!/bin/sh
# SPDX-License-Identifier: EUPL-1.2
# Takes a conversation and answers it: ./answer.sh <conversation id> "The words of the answer."
set -eu
. "$(dirname -- "$0")/belfry.sh"

claimed=$(ask 'mutation Claim($input: ConversationClaimInput!) {
  conversationClaim(input: $input) {
    conversation { claim { fence } lastMessage { id } }
    userErrors { code message }
  }
}' "$(jq -n --arg id "$1" '{input: {conversationId: $id}}')")
printf '%s' "$claimed" | refuse .conversationClaim

# The fence shows that the claim is still ours, lastSeenMessageId that we have read everything. The key makes it safe to
# send the same again after an error of the network, which means unknown, not failed.
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
replied=$(ask 'mutation Reply($input: ConversationReplyInput!) {
  conversationReply(input: $input) { delivery { state } userErrors { code message } }
}' "$(printf '%s' "$claimed" | jq --arg id "$1" --arg text "$2" --arg key "$key" '.conversationClaim.conversation | {input: {
  conversationId: $id, text: $text, purpose: "ANSWER", fence: .claim.fence, lastSeenMessageId: .lastMessage.id,
  idempotencyKey: $key}}')")
printf '%s' "$replied" | refuse .conversationReply
printf '%s' "$replied" | jq -r .conversationReply.delivery.state
