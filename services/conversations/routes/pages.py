# SPDX-License-Identifier: EUPL-1.2
"""The three pages of the form: asking, reading how it stands, and being told that something is not possible."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.conversations.routes.markup import page
from services.conversations.routes.refusals import FieldError, Refusal
from services.conversations.routes.standing import Entry
from services.conversations.routes.submissions import Form, Thread
from services.conversations.routes.words import WORDS, Words
from services.conversations.rules import Direction
from services.kernel.languages import LANGUAGE_TAG, Language
from services.kernel.markup import Html, fill, join
from services.social_accounts.networks.webform import TEXT_MAX

LANGUAGE_PARAMETER = "language"
KEY_INPUT = "key"
NOTHING = Html()

PROBLEMS = """<div class="problems" role="alert" aria-labelledby="problems" tabindex="-1" autofocus>
<h2 id="problems">$problem</h2>
<p>$problems</p>
<ul>
$items
</ul>
</div>
"""
PROBLEM = '<li><a href="#$field">$message</a></li>'
LOOSE_PROBLEM = "<li>$message</li>"

TOP = """<header><div class="page">
<p>$name</p>
<nav aria-label="$label"><ul>
$links
</ul></nav>
</div></header>"""

QUESTION_FORM = """$problems<h1>$contact</h1>
<p>$introduction</p>
<form method="post" action="?language=$language" novalidate>
<input type="hidden" name="language" value="$language">
<input type="hidden" name="key" value="$key">
$fields
<button type="submit">$send</button>
</form>
"""
FOLLOW_UP_FORM = """<h2>$more</h2>
<form method="post" action="?language=$language" novalidate>
<input type="hidden" name="key" value="$key">
$field
<button type="submit">$send</button>
</form>
"""
TEXT_FIELD = """<div class="field">
<label for="text">$label</label>
<p class="hint" id="text-hint">$hint</p>
$wrong<textarea id="text" name="text" rows="8" required aria-describedby="text-hint$described"$invalid>
$value</textarea>
</div>"""
LINE_FIELD = """<div class="field">
<label for="$name">$label <span class="hint">($optional)</span></label>
$hint$wrong<input id="$name" name="$name" type="$type" autocomplete="$name" value="$value"$describes$invalid>
</div>"""
HINT = """<p class="hint" id="$name-hint">$hint</p>
"""
WRONG = """<p class="wrong" id="$name-wrong">$message</p>
"""

STATUS = """$problems<h1>$title</h1>
<p>$acknowledgement</p>
<dl class="facts">
<div><dt>$reference_label</dt><dd>$reference</dd></div>
<div><dt>$state_label</dt><dd>$state</dd></div>
</dl>
<p>$keep</p>
<h2 id="messages">$conversation</h2>
<ol class="messages" aria-labelledby="messages">
$entries
</ol>
$more
"""
ENTRY = """<li$side>
<p class="who"><b>$who</b> <time datetime="$instant">$at</time></p>
$words
</li>"""
WORDS_OF_ENTRY = '<p class="words" dir="auto"$lang>$text</p>'
DELETED = '<p class="deleted">$deleted</p>'


def question_page(
    form: Form, language: Language, *, key: str, typed: Mapping[str, str], errors: Sequence[FieldError] = ()
) -> Html:
    """The form, with what was typed before and what is wrong with it."""
    words = WORDS[language]
    fields = [
        _text_field(words, words.question, words.question_hint, typed, errors),
        _line_field("name", words.name, "", words, typed, errors),
        _line_field("email", words.email, words.email_hint, words, typed, errors),
    ]
    main = fill(
        QUESTION_FORM,
        problems=_problems(words, errors),
        contact=words.contact,
        introduction=words.introduction,
        language=language,
        key=key,
        fields=join(fields),
        send=words.send,
    )
    return _page(form.name, language, words.contact, main, errors)


def status_page(
    form: Form,
    thread: Thread,
    language: Language,
    *,
    key: str,
    typed: Mapping[str, str],
    errors: Sequence[FieldError] = (),
) -> Html:
    """How a question stands: what was said so far, and a place to go on."""
    words = WORDS[language]
    main = fill(
        STATUS,
        problems=_problems(words, errors),
        title=words.status,
        acknowledgement=acknowledgement(form, thread, language),
        reference_label=words.reference,
        reference=thread.reference,
        state_label=words.state,
        state=words.standings[thread.standing],
        keep=words.keep_link,
        conversation=words.conversation,
        entries=join(_entry(entry, form, language) for entry in thread.entries),
        more=_more(form, language, key, typed, errors),
    )
    return _page(form.name, language, f"{words.status} {thread.reference}", main, errors)


def refusal_page(refusal: Refusal, language: Language) -> Html:
    """One sentence. It is the same for everything that is not there."""
    sentence = WORDS[language].refusals[refusal]
    return page(language=language, title=sentence, top=NOTHING, main=fill("<h1>$sentence</h1>", sentence=sentence))


def acknowledgement(form: Form, thread: Thread, language: Language) -> str:
    """That the first message has arrived, when, and under which number."""
    words = WORDS[language]
    return words.acknowledgement.format(instant=_local(thread.received_at, form, words), reference=thread.reference)


def _page(name: str, language: Language, title: str, main: Html, errors: Sequence[FieldError]) -> Html:
    words = WORDS[language]
    links = join(_language_link(each, language) for each in Language)
    top = fill(
        TOP,
        name=name,
        label=words.languages,
        links=links,
    )
    prefix = f"{words.problem}: " if errors else ""
    return page(language=language, title=f"{prefix}{title} – {name}", top=top, main=main)


def _language_link(each: Language, current: Language) -> Html:
    here = Html(' aria-current="true"') if each is current else NOTHING
    return fill(
        '<li><a href="?$parameter=$language" lang="$language" hreflang="$language"$here>$itself</a></li>',
        parameter=LANGUAGE_PARAMETER,
        language=each,
        itself=WORDS[each].itself,
        here=here,
    )


def _problems(words: Words, errors: Sequence[FieldError]) -> Html:
    if not errors:
        return NOTHING
    items = [
        fill(PROBLEM if error.field in ("text", "name", "email") else LOOSE_PROBLEM, field=error.field or "",
             message=error.message)
        for error in errors
    ]  # fmt: skip
    return fill(PROBLEMS, problem=words.problem, problems=words.problems, items=join(items))


def _text_field(words: Words, label: str, hint: str, typed: Mapping[str, str], errors: Sequence[FieldError]) -> Html:
    wrong = _wrong("text", errors)
    return fill(
        TEXT_FIELD,
        label=label,
        hint=hint.format(count=words.number(TEXT_MAX)),
        wrong=wrong,
        described=" text-wrong" if wrong else "",
        invalid=Html(' aria-invalid="true"') if wrong else NOTHING,
        value=typed.get("text", ""),
    )


def _line_field(
    name: str, label: str, hint: str, words: Words, typed: Mapping[str, str], errors: Sequence[FieldError]
) -> Html:
    wrong = _wrong(name, errors)
    described = " ".join(each for each in (f"{name}-hint" if hint else "", f"{name}-wrong" if wrong else "") if each)
    return fill(
        LINE_FIELD,
        name=name,
        label=label,
        optional=words.optional,
        hint=fill(HINT, name=name, hint=hint) if hint else NOTHING,
        wrong=wrong,
        type="email" if name == "email" else "text",
        value=typed.get(name, ""),
        describes=fill(' aria-describedby="$described"', described=described) if described else NOTHING,
        invalid=Html(' aria-invalid="true"') if wrong else NOTHING,
    )


def _wrong(field: str, errors: Sequence[FieldError]) -> Html:
    return join(fill(WRONG, name=field, message=error.message) for error in errors if error.field == field)


def _more(form: Form, language: Language, key: str, typed: Mapping[str, str], errors: Sequence[FieldError]) -> Html:
    words = WORDS[language]
    if form.account_id is None:
        return fill("<p>$sentence</p>", sentence=words.closed_form)
    return fill(
        FOLLOW_UP_FORM,
        more=words.more,
        language=language,
        key=key,
        field=_text_field(words, words.more_label, words.more_hint, typed, errors),
        send=words.send_more,
    )


def _entry(entry: Entry, form: Form, language: Language) -> Html:
    words = WORDS[language]
    ours = entry.direction is Direction.OUTBOUND
    tag = entry.language if entry.language and LANGUAGE_TAG.fullmatch(entry.language) else None
    if entry.text is None:
        said = fill(DELETED, deleted=words.deleted)
    else:
        lang = fill(' lang="$tag"', tag=tag) if tag and tag != language else NOTHING
        said = fill(WORDS_OF_ENTRY, text=entry.text, lang=lang)
    return fill(
        ENTRY,
        side=Html(' class="ours"') if ours else NOTHING,
        who=form.name if ours else words.you,
        instant=entry.at.astimezone(UTC).isoformat(timespec="seconds"),
        at=_local(entry.at, form, words),
        words=said,
    )


def _local(instant: datetime, form: Form, words: Words) -> str:
    try:
        zone = ZoneInfo(form.zone)
    except (ZoneInfoNotFoundError, ValueError):
        return f"{instant.astimezone(UTC).strftime(words.instant)} UTC"
    return instant.astimezone(zone).strftime(words.instant)
