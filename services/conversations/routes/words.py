# SPDX-License-Identifier: EUPL-1.2
"""What the form says, in each of its languages. A language without a sentence does not type-check."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.conversations.routes.refusals import Refusal
from services.conversations.routes.standing import Standing
from services.kernel.languages import Language


@dataclass(frozen=True, slots=True)
class Words:
    """Every text of one language. `{…}` is filled in with str.format; `instant` is a strftime pattern."""

    itself: str
    instant: str
    thousands: str
    contact: str
    introduction: str
    question: str
    question_hint: str
    name: str
    email: str
    email_hint: str
    optional: str
    send: str
    languages: str
    problem: str
    problems: str
    text_missing: str
    text_too_long: str
    name_too_long: str
    email_wrong: str
    language_wrong: str
    not_text: str
    key_wrong: str
    unreadable: str
    status: str
    state: str
    reference: str
    keep_link: str
    acknowledgement: str
    conversation: str
    you: str
    deleted: str
    more: str
    more_label: str
    more_hint: str
    send_more: str
    closed_form: str
    standings: Mapping[Standing, str]
    refusals: Mapping[Refusal, str]

    def number(self, value: int) -> str:
        """A whole number as people of this language group its digits."""
        return f"{value:,}".replace(",", self.thousands)


NL = Words(
    itself="Nederlands",
    instant="%d-%m-%Y om %H:%M",
    thousands=".",
    contact="Stel uw vraag",
    introduction="Stel een vraag of meld iets. Daarna krijgt u een eigen pagina, waarop u ons antwoord leest en verder "
    "kunt schrijven.",
    question="Uw vraag of melding",
    question_hint="Ten hoogste {count} tekens. Schrijf geen rijksregister- of burgerservicenummer op.",
    name="Uw naam",
    email="Uw e-mailadres",
    email_hint="Ons antwoord komt op uw eigen pagina, niet per e-mail.",
    optional="niet verplicht",
    send="Versturen",
    languages="Taal",
    problem="Er klopt iets niet",
    problems="Verbeter dit en verstuur opnieuw:",
    text_missing="Schrijf uw vraag of melding op.",
    text_too_long="Uw tekst heeft {actual} tekens; ten hoogste {count} zijn mogelijk.",
    name_too_long="Een naam heeft ten hoogste {count} tekens.",
    email_wrong="Schrijf een e-mailadres zoals naam@example.org.",
    language_wrong="Geef een taal aan zoals nl of fr-BE.",
    not_text="Dit veld moet tekst zijn.",
    key_wrong="Een Idempotency-Key heeft 16 tot 200 zichtbare ASCII-tekens.",
    unreadable="De inhoud van het verzoek is niet te lezen.",
    status="Uw vraag",
    state="Status",
    reference="Uw nummer",
    keep_link="Bewaar het adres van deze pagina. Het is de enige weg naar ons antwoord; wie het heeft, kan meelezen.",
    acknowledgement="Wij hebben uw bericht ontvangen op {instant}. Uw nummer is {reference}. Ons antwoord leest u op "
    "deze pagina.",
    conversation="Berichten",
    you="U",
    deleted="Dit bericht is verwijderd.",
    more="Schrijf verder",
    more_label="Uw bericht",
    more_hint="Uw bericht komt bij deze vraag. Ten hoogste {count} tekens.",
    send_more="Bericht versturen",
    closed_form="Het formulier is gesloten; u kunt hier niet verder schrijven.",
    standings={
        Standing.RECEIVED: "Ontvangen",
        Standing.OPEN: "In behandeling",
        Standing.WAITING_ON_CITIZEN: "Wij wachten op uw antwoord",
        Standing.ANSWERED: "Beantwoord",
        Standing.CLOSED: "Afgesloten",
    },
    refusals={
        Refusal.NOT_FOUND: "Deze pagina bestaat niet.",
        Refusal.TOO_SLOW: "Het versturen duurde te lang. Probeer het opnieuw.",
        Refusal.TOO_LARGE: "Dit bericht is te groot.",
        Refusal.UNSUPPORTED: "Verstuur het formulier, of JSON.",
        Refusal.KEY_REUSED: "Deze Idempotency-Key is al gebruikt voor een ander bericht.",
        Refusal.THROTTLED: "Er komen te veel berichten tegelijk. Probeer het over een minuut opnieuw.",
        Refusal.UNAVAILABLE: "Het lukt nu even niet. Probeer het zo dadelijk opnieuw.",
    },
)

FR = Words(
    itself="Français",
    instant="%d/%m/%Y à %H:%M",
    thousands="\u202f",
    contact="Posez votre question",
    introduction="Posez une question ou signalez quelque chose. Vous recevrez ensuite une page personnelle, où vous "
    "lirez notre réponse et pourrez nous écrire à nouveau.",
    question="Votre question ou signalement",
    question_hint="{count} caractères au maximum. N’indiquez pas de numéro de registre national.",
    name="Votre nom",
    email="Votre adresse e-mail",
    email_hint="Notre réponse arrive sur votre page personnelle, pas par e-mail.",
    optional="facultatif",
    send="Envoyer",
    languages="Langue",
    problem="Il y a un problème",
    problems="Corrigez ceci et envoyez à nouveau :",
    text_missing="Écrivez votre question ou votre signalement.",
    text_too_long="Votre texte compte {actual} caractères ; {count} au maximum sont possibles.",
    name_too_long="Un nom compte {count} caractères au maximum.",
    email_wrong="Indiquez une adresse e-mail comme nom@example.org.",
    language_wrong="Indiquez une langue comme fr ou nl-BE.",
    not_text="Ce champ doit être du texte.",
    key_wrong="Une Idempotency-Key compte de 16 à 200 caractères ASCII visibles.",
    unreadable="Le contenu de la requête est illisible.",
    status="Votre question",
    state="État",
    reference="Votre numéro",
    keep_link="Conservez l’adresse de cette page. C’est le seul accès à notre réponse ; "
    "quiconque l’a peut lire l’échange.",
    acknowledgement="Nous avons reçu votre message le {instant}. Votre numéro est le {reference}. Vous lirez notre "
    "réponse sur cette page.",
    conversation="Messages",
    you="Vous",
    deleted="Ce message a été supprimé.",
    more="Écrire à nouveau",
    more_label="Votre message",
    more_hint="Votre message s’ajoute à cette question. {count} caractères au maximum.",
    send_more="Envoyer le message",
    closed_form="Le formulaire est fermé ; vous ne pouvez plus écrire ici.",
    standings={
        Standing.RECEIVED: "Reçu",
        Standing.OPEN: "En traitement",
        Standing.WAITING_ON_CITIZEN: "Nous attendons votre réponse",
        Standing.ANSWERED: "Répondu",
        Standing.CLOSED: "Clôturé",
    },
    refusals={
        Refusal.NOT_FOUND: "Cette page n’existe pas.",
        Refusal.TOO_SLOW: "L’envoi a duré trop longtemps. Réessayez.",
        Refusal.TOO_LARGE: "Ce message est trop volumineux.",
        Refusal.UNSUPPORTED: "Envoyez le formulaire, ou du JSON.",
        Refusal.KEY_REUSED: "Cette Idempotency-Key a déjà servi pour un autre message.",
        Refusal.THROTTLED: "Trop de messages arrivent en même temps. Réessayez dans une minute.",
        Refusal.UNAVAILABLE: "Cela ne fonctionne pas pour l’instant. Réessayez dans un moment.",
    },
)

DE = Words(
    itself="Deutsch",
    instant="%d.%m.%Y um %H:%M Uhr",
    thousands=".",
    contact="Stellen Sie Ihre Frage",
    introduction="Stellen Sie eine Frage oder melden Sie etwas. Danach erhalten Sie eine eigene Seite, auf der Sie "
    "unsere Antwort lesen und weiter schreiben können.",
    question="Ihre Frage oder Meldung",
    question_hint="Höchstens {count} Zeichen. Geben Sie keine Nationalregisternummer an.",
    name="Ihr Name",
    email="Ihre E-Mail-Adresse",
    email_hint="Unsere Antwort erscheint auf Ihrer eigenen Seite, nicht per E-Mail.",
    optional="freiwillig",
    send="Absenden",
    languages="Sprache",
    problem="Etwas stimmt nicht",
    problems="Berichtigen Sie dies und senden Sie erneut:",
    text_missing="Schreiben Sie Ihre Frage oder Meldung auf.",
    text_too_long="Ihr Text hat {actual} Zeichen; höchstens {count} sind möglich.",
    name_too_long="Ein Name hat höchstens {count} Zeichen.",
    email_wrong="Geben Sie eine E-Mail-Adresse wie name@example.org an.",
    language_wrong="Geben Sie eine Sprache wie de oder fr-BE an.",
    not_text="Dieses Feld muss Text sein.",
    key_wrong="Ein Idempotency-Key hat 16 bis 200 sichtbare ASCII-Zeichen.",
    unreadable="Der Inhalt der Anfrage ist nicht lesbar.",
    status="Ihre Frage",
    state="Stand",
    reference="Ihre Nummer",
    keep_link="Bewahren Sie die Adresse dieser Seite auf. Sie ist der einzige Weg zu unserer Antwort; wer sie hat, "
    "kann mitlesen.",
    acknowledgement="Wir haben Ihre Nachricht am {instant} erhalten. Ihre Nummer ist {reference}. Unsere Antwort lesen "
    "Sie auf dieser Seite.",
    conversation="Nachrichten",
    you="Sie",
    deleted="Diese Nachricht wurde gelöscht.",
    more="Weiter schreiben",
    more_label="Ihre Nachricht",
    more_hint="Ihre Nachricht gehört dann zu dieser Frage. Höchstens {count} Zeichen.",
    send_more="Nachricht senden",
    closed_form="Das Formular ist geschlossen; Sie können hier nicht weiter schreiben.",
    standings={
        Standing.RECEIVED: "Eingegangen",
        Standing.OPEN: "In Bearbeitung",
        Standing.WAITING_ON_CITIZEN: "Wir warten auf Ihre Antwort",
        Standing.ANSWERED: "Beantwortet",
        Standing.CLOSED: "Abgeschlossen",
    },
    refusals={
        Refusal.NOT_FOUND: "Diese Seite gibt es nicht.",
        Refusal.TOO_SLOW: "Das Senden hat zu lange gedauert. Versuchen Sie es erneut.",
        Refusal.TOO_LARGE: "Diese Nachricht ist zu groß.",
        Refusal.UNSUPPORTED: "Senden Sie das Formular, oder JSON.",
        Refusal.KEY_REUSED: "Dieser Idempotency-Key wurde schon für eine andere Nachricht verwendet.",
        Refusal.THROTTLED: "Es kommen zu viele Nachrichten zugleich. Versuchen Sie es in einer Minute erneut.",
        Refusal.UNAVAILABLE: "Das geht gerade nicht. Versuchen Sie es gleich noch einmal.",
    },
)

EN = Words(
    itself="English",
    instant="%d %B %Y at %H:%M",
    thousands=",",
    contact="Ask your question",
    introduction="Ask a question or report something. You then get a page of your own, where you can read our answer "
    "and write again.",
    question="Your question or report",
    question_hint="At most {count} characters. Do not include a national identification number.",
    name="Your name",
    email="Your e-mail address",
    email_hint="Our answer appears on your own page; we do not send it by e-mail.",
    optional="optional",
    send="Send",
    languages="Language",
    problem="There is a problem",
    problems="Correct this and send it again:",
    text_missing="Write your question or report.",
    text_too_long="Your text has {actual} characters; at most {count} are possible.",
    name_too_long="A name has at most {count} characters.",
    email_wrong="Enter an e-mail address like name@example.org.",
    language_wrong="Name a language like en or fr-BE.",
    not_text="This field must be text.",
    key_wrong="An Idempotency-Key has 16 to 200 visible ASCII characters.",
    unreadable="The content of the request cannot be read.",
    status="Your question",
    state="Status",
    reference="Your number",
    keep_link="Keep the address of this page. It is the only way to our answer, and whoever has it can read along.",
    acknowledgement="We received your message on {instant}. Your number is {reference}. You can read our answer on "
    "this page.",
    conversation="Messages",
    you="You",
    deleted="This message was deleted.",
    more="Write again",
    more_label="Your message",
    more_hint="Your message is added to this question. At most {count} characters.",
    send_more="Send message",
    closed_form="The form is closed; you cannot write here any more.",
    standings={
        Standing.RECEIVED: "Received",
        Standing.OPEN: "In progress",
        Standing.WAITING_ON_CITIZEN: "We are waiting for your answer",
        Standing.ANSWERED: "Answered",
        Standing.CLOSED: "Closed",
    },
    refusals={
        Refusal.NOT_FOUND: "This page does not exist.",
        Refusal.TOO_SLOW: "Sending took too long. Try again.",
        Refusal.TOO_LARGE: "This message is too large.",
        Refusal.UNSUPPORTED: "Send the form, or JSON.",
        Refusal.KEY_REUSED: "This Idempotency-Key was used for another message.",
        Refusal.THROTTLED: "Too many messages are coming in at once. Try again in a minute.",
        Refusal.UNAVAILABLE: "This does not work at the moment. Try again in a moment.",
    },
)

WORDS: Mapping[Language, Words] = {Language.NL: NL, Language.FR: FR, Language.DE: DE, Language.EN: EN}
