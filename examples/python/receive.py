# SPDX-License-Identifier: EUPL-1.2
"""Receives webhooks, and believes only what is signed: WEBHOOK_SECRET=whsec_… python receive.py <port>"""

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

BODY_BYTES_MAX = 20_000
webhook = Webhook(os.environ["WEBHOOK_SECRET"])


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(min(length, BODY_BYTES_MAX))  # exactly as it was sent: the signature is over these bytes
        try:
            event = webhook.verify(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError:
            self.send_response(400)
        else:
            print(event["type"], self.headers["webhook-id"], flush=True)  # the id stays the same when it is tried again
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Only what is verified is told."""


server = HTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 4000), Receiver)
print("ready", flush=True)
server.serve_forever()
