# SPDX-License-Identifier: EUPL-1.2
"""What Molendam says whatever the topic, and what it posts by itself, in Dutch. All of it is invented."""

from services.conversations.rules import Outcome
from services.demo.plans import Question, Voice

DUTCH = Voice(
    acknowledgements=(
        "Dank voor uw bericht. Wij zoeken het uit en u hoort {day} van ons.",
        "Goed dat u het meldt! Een collega kijkt ernaar; wij laten snel iets weten.",
        "Uw vraag is binnen. Wij hebben er even een collega bij nodig.",
    ),
    referrals=(
        "Hier gaat de provincie over; u bereikt haar op provincie.example. Wij hebben uw vraag ook doorgestuurd.",
        "Dat doet het waterschap. Op waterschap.example/melden kunt u het direct aangeven.",
    ),
    thanks=("Dank u wel, dat is duidelijk!", "Top, bedankt.", "Fijn dat u zo snel antwoordt.", "Helder, dank."),
    again=(
        Question(
            "Ik kom er toch nog even op terug: er is niets gebeurd. Hoe zit het nu?",
            "Excuses, dat was niet de bedoeling. Wij hebben het vandaag opnieuw doorgezet en controleren het {day}.",
        ),
        Question(
            "Nog een vraag erbij: geldt dat ook voor mijn buren?",
            "Ja, dat geldt ook voor uw buren. Zij hoeven niets te doen.",
        ),
        Question(
            "Het is weer zover, precies hetzelfde. Kunt u nog eens kijken?",
            "Dank dat u terugkomt. Er is nu iemand naartoe; u krijgt {day} bericht.",
        ),
    ),
    additions=(
        "Nog een aanvulling: het kan ook telefonisch, op werkdagen tot 17.00 uur.",
        "Ter aanvulling: de collega van de buitendienst is net geweest.",
    ),
    compliments=(
        Question(
            "Complimenten voor de mannen van de reiniging, de {street} ligt er weer prachtig bij!",
            "Wat leuk om te horen! Wij geven het door aan de ploeg.",
        ),
        Question(
            "Wat een vriendelijke mevrouw aan de balie {day}. Dat mag ook weleens gezegd.",
            "Dank u wel, wij hebben het haar laten lezen.",
        ),
        Question("Mooie foto's van de Oude Haven!", "Dank u! Een inwoner heeft ze gemaakt."),
        Question("Eindelijk een gemeente die gewoon antwoord geeft. Chapeau.", "Daar doen wij het voor."),
    ),
    spam=(
        Question("Verdien 900 per dag vanuit huis, stuur een bericht voor het geheim!!!"),
        Question("Uw dak gratis laten keuren? Wij zijn {day} in uw straat, reageer nu."),
    ),
    closings={
        Outcome.ANSWERED: (
            "Vraag beantwoord.",
            "Antwoord gegeven, geen vervolg nodig.",
            "Afgehandeld met standaarduitleg.",
        ),
        Outcome.RESOLVED: ("Melding is buiten opgelost.", "Nagebeld: het is in orde.", "Uitgevoerd en teruggekoppeld."),
        Outcome.REFERRED: ("Verwezen naar de formele weg.",),
        Outcome.NO_ANSWER_NEEDED: ("Er werd niets gevraagd.", "Reactie zonder vraag."),
        Outcome.DUPLICATE: ("Zelfde vraag als een eerdere van deze burger; die is beantwoord.",),
        Outcome.SPAM: ("Reclame.",),
    },
    takeover_reason="De collega is ziek naar huis en deze vraag kan niet wachten.",
    first_post=(
        "Welkom op {account}. Molendam bestaat niet: gemeente, inwoners, straten en gebeurtenissen zijn verzonnen om "
        "Belfry te laten zien."
    ),
    posts=(
        "Vanaf {day} werken wij in de {street}. Fietsers kunnen er langs, auto's volgen de gele borden.",
        "De bladkorven staan weer klaar in de {street}. Wie helpt mee met vegen?",
        "Raadsavond: {day} om 20.00 uur praat de raad over de plannen voor de Oude Haven.",
        "Nieuw: uw afspraak aan het loket verzet u nu zelf, tot een uur van tevoren.",
        "Zaterdag is er markt op het Molenplein. Parkeren kan gratis aan de Veerweg.",
        "De afvalkalender van volgend jaar staat online. Zet de dagen vast in uw agenda.",
        "Wist u dat u zwerfafval met uw telefoon kunt melden? Twee tikken en het ligt bij de veegploeg.",
        "De ijsbaan bij het Lindehof zoekt vrijwilligers voor {day}.",
        "In de {street} planten wij twaalf jonge lindes. Kom kijken, er is koffie.",
        "Let op: {day} is het gemeentehuis dicht vanwege een studiedag.",
        "De Kapelsteeg is weer open. Dank voor uw geduld.",
        "Doe mee met de buurtscan: wat kan er beter in de {street}?",
        "Gladheid: de strooiwagens rijden vanaf vanavond. Doe het rustig aan.",
        "Gefeliciteerd met de geslaagde lampionoptocht, alle scholen van Molendam!",
        "Subsidie voor zonnepanelen op verenigingsgebouwen: aanvragen kan tot het eind van de maand.",
        "Burgemeester en kinderraad openden {day} het nieuwe klimrek aan de Rietlaan.",
        "De bibliotheek is {day} langer open, met voorlezen vanaf half vier.",
        "Werk aan het riool onder de {street}: het water kan even bruin zijn.",
        "Vergeet niet te stemmen voor de naam van de nieuwe veerpont.",
        "Het cultuurhuis opent {day} de tentoonstelling over de molens van vroeger.",
        "Jongeren gezocht die willen meedenken over de skatebaan aan het Zaagmolenpad.",
        "De nieuwe fietsenstalling aan de Sluiskade is klaar: 240 plekken, dag en nacht open.",
    ),
    offers=(
        "Wij lazen dat het licht in de {street} uit is. De monteur is onderweg, {day} brandt het weer.",
        "Wij zagen uw vraag aan een ander over de veerpont: die vaart {day} gewoon.",
        "U schreef over de container in de {street}. Wij hebben hem laten legen.",
    ),
    streets=(
        "Wiekstraat",
        "Sluiskade",
        "Lindelaan",
        "Kleine Dijk",
        "Veerweg",
        "Zaagmolenweg",
        "Oude Haven",
        "Rietlaan",
        "Kapelsteeg",
        "Molenwerf",
    ),
    days=("maandag", "dinsdag", "woensdag", "donderdag", "vrijdag"),
    given_names=(
        *("Aafke", "Bilal", "Coby", "Dirkje", "Emre", "Fleur", "Gijs", "Hanan", "Ilse", "Jesse", "Karima", "Loes"),
        *("Maarten", "Nienke", "Omar", "Petra", "Quinten", "Roos", "Sjoerd", "Tessa", "Umut", "Vera", "Wouter", "Yara"),
    ),
    family_names=(
        *("Appelwiek", "Boterdijk", "Compaan", "Dorrepad", "Elzenga", "Fuikman", "Goudveen", "Hooiland", "Inkster"),
        *("Jolink-Sas", "Kruisland", "Lepelaar", "Meerwijk", "Noordzij", "Opdewerf", "Pruimboom", "Rietdekker"),
        *("Schuitema", "Tamboer", "Uilenvlucht", "Vlietman", "Waterlander", "Zuidhoek"),
    ),
)

HIGH_WATER_POSTS = (
    "Hoogwater: het peil bij de Kleine Dijk stijgt. Blijf van de dijk af, de dijkwacht heeft de ruimte nodig.",
    "Zandzakken zijn af te halen aan de Veerweg, vier per adres. Help uw buren die niet kunnen tillen.",
    "Het peil is gestegen tot 20 cm onder de norm. U hoeft niet weg. Wij melden ons elk uur.",
    "De Oude Haven is afgesloten voor verkeer. Parkeren kan op het terrein van het Lindehof.",
    "De scholen gaan morgen gewoon open. De bus rijdt om via de Rietlaan.",
    "Het peil zakt. De dijkwacht blijft vannacht lopen.",
    "De crisis is voorbij. Dank aan iedereen die meehielp. Vragen over schade: stel ze aan de gemeente.",
)
