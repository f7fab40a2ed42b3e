#!/bin/sh
# SPDX-License-Identifier: EUPL-1.2
# Verifies a webhook that somebody has received: WEBHOOK_SECRET=whsec_… ./verify-webhook.sh <id> <timestamp> <signature> <body file>
# The first three are the headers webhook-id, webhook-timestamp and webhook-signature. Needs openssl.
set -eu
id=$1 timestamp=$2 signatures=$3 body=$4
age=$(($(date +%s) - timestamp))
[ "${age#-}" -le 300 ] || { echo "too old, or from the future" >&2; exit 1; }

key=$(printf '%s' "${WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
wanted=$({ printf '%s.%s.' "$id" "$timestamp"; cat "$body"; } |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
# While a secret is being changed there are two signatures, parted by a space.
for signature in $signatures; do
    [ "$signature" != "v1,$wanted" ] || { echo verified; exit 0; }
done
echo "not signed with this secret" >&2
exit 1
