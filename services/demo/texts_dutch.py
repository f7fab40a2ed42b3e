# SPDX-License-Identifier: EUPL-1.2
"""What the citizens of Molendam ask and what they are told, in Dutch. All of it is invented, place and people too."""

from services.conversations.rules import Difficulty, Intent
from services.demo.plans import Question, Topic

HARD, EASY = Difficulty.HARD, Difficulty.EASY

DESK_TOPICS = (
    Topic(
        "Openingstijden en afspraken",
        12,
        (
            Question(
                "Hoe laat is het gemeentehuis {day} open?",
                "Het gemeentehuis is {day} open van 9.00 tot 17.00 uur, net als op andere werkdagen.",
            ),
            Question(
                "Kan ik {day} zonder afspraak langskomen aan het loket?",
                "Tot 12.00 uur kunt u vrij inlopen, daarna werken wij op afspraak.",
                "Waarvoor wilt u langskomen? Dan zeggen wij welk loket u nodig heeft.",
                "Ik wil een handtekening laten legaliseren.",
            ),
            Question(
                "Ik kan nergens vinden wat de openingstijden zijn. Weten jullie het?",
                "Op werkdagen van 9.00 tot 17.00 uur. Ze staan nu ook bovenaan op molendam.example.",
            ),
            Question(
                "Goedemorgen, ik moet mijn afspraak van {day} verzetten. Hoe doe ik dat?",
                "Verzetten kan tot een uur van tevoren, op molendam.example/afspraak.",
                "Wat staat er als nummer boven de bevestiging? Dan verzetten wij hem voor u.",
                "Nummer {number}. Het liefst een dag later.",
            ),
            Question(
                "Is het loket aan het Molenplein ook 's avonds open?",
                "Nee, de avondopenstelling is alleen op de eerste maandag van de maand.",
            ),
        ),
        vague=(
            Question(
                "Weten jullie of er {day} iemand is die mij kan helpen?", "Zeker, van 9.00 tot 17.00 uur. Tot dan!"
            ),
        ),
        difficulty=EASY,
    ),
    Topic(
        "Paspoort en identiteitskaart",
        13,
        (
            Question(
                "Mijn paspoort verloopt over twee weken. Red ik dat nog met een gewone aanvraag?",
                "Ja, een gewone aanvraag duurt vijf werkdagen. Met spoed kan het de volgende dag, tegen meerprijs.",
            ),
            Question(
                "Wat kost een identiteitskaart voor een kind van 7?",
                "Het tarief voor kinderen staat op molendam.example/paspoort. Neem een recente pasfoto mee.",
            ),
            Question(
                "Moet mijn dochter mee als ik haar paspoort aanvraag?",
                "Ja, iedereen voor wie u een document aanvraagt moet erbij zijn, ook kleine kinderen.",
                "Is er ook toestemming van de andere ouder? Die hebben wij nodig.",
                "Ja, die heeft het formulier al getekend.",
            ),
            Question(
                "Mijn rijbewijs is gestolen. Moet ik eerst aangifte doen?",
                "Ja, doe eerst aangifte. Met het nummer ervan maken wij een nieuw rijbewijs.",
                "Heeft u het nummer van de aangifte al?",
                "Ja, dat eindigt op {number}.",
            ),
            Question(
                "Kan ik mijn identiteitskaart laten thuisbezorgen aan de {street}?",
                "Dat kan. Kies bij het afspreken voor bezorgen; iemand moet dan thuis zijn om te tekenen.",
            ),
        ),
        difficulty=EASY,
    ),
    Topic(
        "Afvalkalender en containers",
        14,
        (
            Question(
                "De gft-bak in de {street} is al twee weken niet geleegd. Komt er nog iemand?",
                "Dank voor uw melding. De ophaaldienst komt {day} alsnog langs in de {street}.",
                "Stond de bak met de wielen naar de stoep? Zo nee, dan pakt de wagen hem niet.",
                "Ja, hij stond goed, net als die van de buren.",
            ),
            Question(
                "Onze ondergrondse container bij nummer {number} is vol en de klep zit vast.",
                "De storing is doorgegeven. Zet tot die tijd geen zakken naast de container.",
                "Wat is het nummer op het deksel? Dan kan de monteur hem vinden.",
                "Er staat MD-{number} op, aan de zijkant.",
            ),
            Question(
                "Wanneer wordt het oud papier opgehaald in de {street}?",
                "In de {street} is dat elke tweede {day} van de maand, vanaf 8.00 uur.",
            ),
            Question(
                "Op de afvalkalender staat {day}, maar er is niemand geweest. Klopt die nog?",
                "De kalender klopt; de wagen stond stil. Laat de bak staan, hij wordt vandaag geleegd.",
            ),
            Question(
                "Ik woon net in de {street} en heb nog geen container. Waar vraag ik die aan?",
                "Op molendam.example/container. Hij wordt binnen tien werkdagen gebracht.",
            ),
        ),
        vague=(
            Question(
                "Ze zijn onze straat weer vergeten, {day} stond alles er nog. De {street} dus.",
                "Dat klopt, de route was ingekort. Vandaag komt er alsnog een wagen.",
            ),
        ),
        difficulty=EASY,
        intent=Intent.REPORT,
    ),
    Topic(
        "Wegwerkzaamheden",
        8,
        (
            Question(
                "Hoe lang is de {street} nog afgesloten?",
                "De {street} gaat naar verwachting {day} weer open. Fietsers kunnen erlangs via het Zaagmolenpad.",
            ),
            Question(
                "De omleiding via de {street} klopt niet, fietsers rijden zich vast.",
                "Wij hebben de aannemer gevraagd de borden te verplaatsen; dat gebeurt vandaag nog.",
                "Uit welke richting komt u? Dan zoeken wij uit welk bord er verkeerd staat.",
                "Vanaf de Oude Haven, op de fiets.",
            ),
            Question(
                "Wanneer beginnen de werkzaamheden in de {street} eigenlijk?",
                "Ze beginnen {day} en duren drie weken. Bewoners hebben een brief gekregen.",
            ),
            Question(
                "De {street} is weer opgebroken, dit is de derde keer dit jaar. Kan dat niet in een keer?",
                "Dat begrijpen wij. Eerst het riool en daarna de kabels kon helaas niet tegelijk. Excuses.",
            ),
        ),
    ),
    Topic(
        "Parkeervergunning",
        9,
        (
            Question(
                "Ik heb een andere auto. Hoe pas ik mijn parkeervergunning aan?",
                "Uw kenteken wijzigt u zelf op molendam.example/parkeren. Het werkt binnen een uur.",
                "Staat het kenteken op uw naam?",
                "Nee, het is een leaseauto.",
            ),
            Question(
                "Krijg je in de {street} ook een bezoekerspas?",
                "Ja, bewoners van de {street} kunnen er een aanvragen, voor 60 uur per kwartaal.",
            ),
            Question(
                "Mijn parkeervergunning is afgewezen terwijl ik geen oprit heb. Waarom?",
                "Volgens onze kaart hoort er een garagebox bij uw woning. Wij kijken dat {day} met u na.",
                "Op welk adres vroeg u hem aan?",
                "{street} {number}.",
            ),
            Question(
                "Wat kost het om {day} in het centrum te parkeren?",
                "In het centrum betaalt u van 9.00 tot 20.00 uur. Op zondag is het gratis.",
            ),
        ),
        difficulty=EASY,
    ),
    Topic(
        "Evenementen",
        6,
        (
            Question(
                "Gaat de braderie op de Oude Haven {day} door met deze wind?",
                "Ja, ze gaat door. Bij harde wind leest u het een uur van tevoren hier.",
            ),
            Question(
                "Tot hoe laat duurt de kermis op het Molenplein?",
                "De kermis sluit op werkdagen om 22.00 uur en in het weekend om 23.30 uur.",
            ),
            Question(
                "Kan onze buurt nog meedoen met de lichtjesmarkt?",
                "Aanmelden kan tot {day} via molendam.example/meedoen. Wat leuk!",
                "Met hoeveel mensen wilt u meedoen? Dan kijken wij of er een kraam past.",
                "Met een man of zes, en een kleine partytent.",
            ),
            Question(
                "Waar kunnen we onze fietsen kwijt bij het festival?",
                "Er is een bewaakte stalling op het Lindehof, open tot een uur na afloop.",
            ),
        ),
        difficulty=EASY,
    ),
    Topic(
        None,
        8,
        (
            Question(
                "Bij wie moet ik zijn met een vraag over het bankje bij de brug?",
                "Bij ons, en wij zoeken het uit. Een collega belt u {day}.",
                "Welke brug bedoelt u? Er zijn er twee met een bankje.",
                "Die bij de {street}.",
            ),
            Question(
                "Waarom krijg ik geen antwoord op mijn mail van vorige week?",
                "Dat had beter gemoeten. Uw bericht is gevonden en wordt vandaag beantwoord.",
            ),
            Question(
                "Ik zoek iemand die weet wie de sleutel van het buurthuis aan de {street} heeft.",
                "Dat is de beheerder; die is er elke ochtend vanaf 9.00 uur.",
            ),
            Question(
                "Hebben jullie een telefoonnummer waar niet eerst een keuzemenu komt?",
                "Toets meteen een 9, dan krijgt u een mens aan de lijn. Hier antwoorden wij ook.",
            ),
        ),
        vague=(
            Question(
                "Kan iemand mij helpen met iets aan de {street}? Het is nogal een verhaal.",
                "Dank voor de toelichting. Een collega komt {day} bij u langs.",
                "Natuurlijk. Waar gaat het over?",
                "Over de hoek bij nummer {number}, en wie daarvoor is.",
            ),
        ),
    ),
    Topic(
        "Geluidsoverlast",
        4,
        (
            Question(
                "Elke avond herrie van het terras aan de {street}. Wie doet hier wat aan?",
                "Vervelend voor u. Wij zoeken uit wie dit kan oppakken en komen er {day} bij u op terug.",
                "Op welke tijden heeft u er last van?",
                "Meestal tussen elf en een uur 's nachts.",
            ),
            Question(
                "Is er iemand die over geluidsoverlast gaat? Ik word van het kastje naar de muur gestuurd.",
                "Excuses daarvoor. U hoeft niet meer te bellen, wij houden dit zelf vast tot er een antwoord is.",
            ),
            Question(
                "Dat lawaai van de koelinstallatie bij nummer {number} gaat de hele nacht door.",
                "Uw melding staat genoteerd en de eigenaar is gebeld. Laat u weten of het helpt?",
            ),
        ),
        difficulty=HARD,
        intent=Intent.COMPLAINT,
    ),
)

HIGH_WATER = Topic(
    "Hoogwater",
    1,
    (
        Question(
            "Het water staat tegen de dijk bij de {street}. Moeten wij weg?",
            "U hoeft nu niet weg. De dijkwacht controleert elk uur; zodra dat verandert leest u het hier.",
        ),
        Question(
            "Waar kunnen we zandzakken halen?",
            "Op de parkeerplaats aan de Veerweg, vier per adres.",
        ),
        Question(
            "Is er evacuatie voor de Oude Haven? Mijn vader is slecht ter been.",
            "Er is geen evacuatie. Wij hebben uw vader genoteerd en bellen u als dat verandert.",
            "Op welk huisnummer woont hij? Dan noteren wij hem.",
            "Nummer {number}, de groene deur.",
        ),
        Question(
            "Klopt het dat de Kleine Dijk lekt? Er wordt van alles gezegd over hoogwater.",
            "De Kleine Dijk is nat maar lekt niet. Het is kwelwater, en dat wordt weggepompt.",
        ),
        Question(
            "Gaan de scholen {day} open met dit hoogwater?",
            "Ja, alle scholen gaan open. De bus rijdt om via de Rietlaan.",
        ),
        Question(
            "Er loopt water door de kelders in de {street}, is dat van de dijk?",
            "Wij sturen vandaag nog iemand langs. Houd uw telefoon bij u.",
            "Bij welke nummers is dat?",
            "Van {number} tot het einde van de straat.",
        ),
    ),
    intent=Intent.REPORT,
)
