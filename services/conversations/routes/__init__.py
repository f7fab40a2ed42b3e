# SPDX-License-Identifier: EUPL-1.2
"""The citizens' door: an organization's contact form, and the page that shows what became of a question.

POST /contact/<organization>           a submission, JSON or form → 202 {reference, statusUrl}, or 303 to the page
GET  /contact/<organization>           the form as a page
GET  /contact/<organization>/<token>   how it stands: a page for people, JSON by Accept
POST /contact/<organization>/<token>   a further message of the same conversation
"""

from starlette.routing import Route

from services.conversations.routes.contact import ContactForm
from services.kernel.runtime import Runtime

__all__ = ["routes"]


def routes(runtime: Runtime) -> list[Route]:
    """The routes of the form, over one runtime. They need no credentials; each has its own bounds."""
    form = ContactForm(runtime)
    methods = ["GET", "POST"]
    return [
        Route("/contact/{slug}", form.question, methods=methods, name="contact_form"),
        Route("/contact/{slug}/{token}", form.status, methods=methods, name="contact_status"),
    ]
