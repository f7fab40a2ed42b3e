# SPDX-License-Identifier: EUPL-1.2
"""The frame of the contact form's pages: their style, their policy, and the document around what a page says."""

import hashlib
from base64 import b64encode

from services.kernel.markup import Html, fill

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --quiet: #505050; --paper: #ffffff; --panel: #f2f4f7;
  --line: #6d7682; --accent: #0b4f9e; --on-accent: #ffffff; --wrong: #a8121f; --ours: #e6eff9; }
@media (prefers-color-scheme: dark) { :root { --ink: #ededed; --quiet: #b8bec6; --paper: #15181c; --panel: #1f2429;
  --line: #8a94a1; --accent: #8abaf5; --on-accent: #10151b; --wrong: #ff9c9c; --ours: #1a2c41; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.55 system-ui, sans-serif;
  overflow-wrap: anywhere; }
.page { max-width: 42rem; margin: 0 auto; padding: 0 1rem; }
header { border-bottom: 1px solid var(--line); background: var(--panel); }
header .page { display: flex; flex-wrap: wrap; gap: 0 1.5rem; justify-content: space-between; align-items: center;
  padding-top: .5rem; padding-bottom: .5rem; }
header p { margin: 0; font-weight: 600; }
nav ul { display: flex; flex-wrap: wrap; margin: 0 -.5rem; padding: 0; list-style: none; }
nav a { display: inline-block; padding: .35rem .5rem; font-size: .9375rem; }
nav a[aria-current] { font-weight: 700; text-decoration: none; color: inherit; }
main.page { padding-top: 1.5rem; padding-bottom: 3rem; }
h1 { margin: 0 0 .75rem; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 2rem 0 .75rem; font-size: 1.25rem; line-height: 1.3; }
p { margin: 0 0 1rem; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.field { margin: 0 0 1.5rem; }
label { display: block; font-weight: 600; }
.hint { margin: 0 0 .35rem; color: var(--quiet); font-size: .9375rem; }
label .hint { font-weight: 400; }
input, textarea { display: block; width: 100%; padding: .55rem .65rem; border: 1px solid var(--line);
  border-radius: 4px; background: var(--paper); color: var(--ink); font: inherit; }
textarea { min-height: 10rem; resize: vertical; }
[aria-invalid] { border: 2px solid var(--wrong); }
.wrong { margin: 0 0 .35rem; color: var(--wrong); font-weight: 600; }
.problems { margin: 0 0 1.5rem; padding: 1rem; border: 3px solid var(--wrong); border-radius: 4px; }
.problems h2 { margin: 0 0 .5rem; }
.problems p { margin: 0 0 .5rem; }
.problems ul { margin: 0; padding-left: 1.25rem; }
.problems a { color: var(--wrong); font-weight: 600; }
button { padding: .65rem 1.4rem; border: 2px solid var(--accent); border-radius: 4px; background: var(--accent);
  color: var(--on-accent); font: inherit; font-weight: 600; cursor: pointer; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: 0 0 1rem; padding: 1rem; border-radius: 4px;
  background: var(--panel); }
.facts dt { color: var(--quiet); font-size: .9375rem; }
.facts dd { margin: 0; font-size: 1.25rem; font-weight: 700; }
.messages { margin: 0; padding: 0; list-style: none; }
.messages li { margin: 0 0 1rem; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: 4px; }
.messages .ours { border-left: 5px solid var(--accent); background: var(--ours); }
.messages .who { display: flex; flex-wrap: wrap; gap: 0 1rem; justify-content: space-between; margin: 0 0 .35rem;
  color: var(--quiet); font-size: .9375rem; }
.messages .who b { color: var(--ink); }
.words { margin: 0; white-space: pre-wrap; }
.deleted { margin: 0; color: var(--quiet); font-style: italic; }
@media print { nav, form { display: none; } }
"""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'sha256-"
    + b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


PAGE = """<!doctype html>
<html lang="$language">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$style</style>
</head>
<body>
$top
<main class="page">
$main
</main>
</body>
</html>
"""


def page(*, language: str, title: str, top: Html, main: Html) -> Html:
    """A whole document. Nothing in it comes from elsewhere, and nothing in it runs."""
    return fill(PAGE, language=language, title=title, style=Html(STYLE), top=top, main=main)
