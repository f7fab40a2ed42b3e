# SPDX-License-Identifier: EUPL-1.2
"""What the citizens of Molendam ask and what they are told, in Dutch. All of it is invented, place and people too."""

from services.conversations.rules import Difficulty, Intent
from services.demo.plans import Topic

HARD, EASY = Difficulty.HARD, Difficulty.EASY

DESK_TOPICS = (
    Topic(
        "Openingstijden en afspraken",
        12,
        (
            "Hoe laat is het gemeentehuis {day} open?",
            "Kan ik {day} zonder afspraak langskomen aan het loket?",
            "Ik kan nergens vinden wat de openingstijden zijn. Weten jullie het?",
            "Goedemorgen, ik moet mijn afspraak van {day} verzetten. Hoe doe ik dat?",
            "Is het loket aan het Molenplein ook 's avonds open?",
        ),
        (
            "Het gemeentehuis is op werkdagen open van 9.00 tot 17.00 uur. Op {day} kunt u tot 12.00 uur vrij inlopen.",
            "U kunt online een tijd kiezen op molendam.example/afspraak. Verzetten kan tot een uur van tevoren.",
            "Vrij inlopen kan elke ochtend; 's middags werken wij op afspraak.",
        ),
        ask_back="Waarvoor wilt u langskomen? Dan zeggen wij welk loket u nodig heeft.",
        told="Ik wil iets laten legaliseren, een handtekening.",
        difficulty=EASY,
        vague=("Weten jullie of er {day} iemand is die mij kan helpen?",),
    ),
    Topic(
        "Paspoort en identiteitskaart",
        13,
        (
            "Mijn paspoort verloopt over twee weken. Red ik dat nog met een gewone aanvraag?",
            "Wat kost een identiteitskaart voor een kind van 7?",
            "Moet mijn dochter mee als ik haar paspoort aanvraag?",
            "Mijn rijbewijs is gestolen. Moet ik eerst aangifte doen?",
            "Kan ik mijn identiteitskaart laten thuisbezorgen aan de {street}?",
        ),
        (
            "Een gewone aanvraag duurt vijf werkdagen. Met spoed kan het de volgende dag, tegen meerprijs.",
            "Ja, iedereen voor wie u een document aanvraagt moet erbij zijn, ook kleine kinderen.",
            "De tarieven staan op molendam.example/paspoort. Neem een pasfoto mee die niet ouder is dan zes maanden.",
        ),
        ask_back="Heeft u het oude document nog? Dat bepaalt of u eerst een vermissing moet melden.",
        told="Nee, het oude document ben ik kwijt.",
        difficulty=EASY,
    ),
    Topic(
        "Afvalkalender en containers",
        14,
        (
            "De gft-bak in de {street} is al twee weken niet geleegd. Komt er nog iemand?",
            "Onze ondergrondse container bij nummer {number} is vol en de klep zit vast.",
            "Wanneer wordt het oud papier opgehaald in de {street}?",
            "Op de afvalkalender staat {day}, maar er is niemand geweest. Klopt die nog?",
            "Ik woon net in de {street} en heb nog geen container. Waar vraag ik die aan?",
        ),
        (
            "Dank voor uw melding. De ophaaldienst komt {day} alsnog langs in de {street}.",
            "De storing is doorgegeven. Zet tot die tijd geen zakken naast de container.",
            "De actuele afvalkalender vindt u op molendam.example/afval, met uw postcode en huisnummer.",
            "Een container vraagt u aan op molendam.example/container. Hij wordt binnen tien werkdagen gebracht.",
        ),
        ask_back="Wat is het nummer op het deksel van de container? Dan kan de ophaaldienst hem vinden.",
        told="Er staat MD-{number} op, aan de zijkant.",
        difficulty=EASY,
        intent=Intent.REPORT,
        vague=("Ze zijn onze straat weer vergeten, {day} stond alles er nog. De {street} dus.",),
    ),
    Topic(
        "Wegwerkzaamheden",
        8,
        (
            "Hoe lang is de {street} nog afgesloten?",
            "De omleiding via de {street} klopt niet, fietsers rijden zich vast.",
            "Wanneer beginnen de werkzaamheden in de {street} eigenlijk?",
            "De {street} is weer opgebroken, dit is de derde keer dit jaar. Kan dat niet in een keer?",
        ),
        (
            "De {street} gaat naar verwachting {day} weer open. Fietsers kunnen erlangs via het Zaagmolenpad.",
            "Wij hebben de aannemer gevraagd de borden te verplaatsen; dat gebeurt vandaag nog.",
            "De planning van alle werkzaamheden staat op molendam.example/werk. Onze excuses voor de overlast.",
        ),
        ask_back="Uit welke richting komt u? Dan zoeken wij uit welk bord er verkeerd staat.",
        told="Vanaf de Oude Haven, op de fiets.",
    ),
    Topic(
        "Parkeervergunning",
        9,
        (
            "Ik heb een andere auto. Hoe pas ik mijn parkeervergunning aan?",
            "Krijg je in de {street} ook een bezoekerspas?",
            "Mijn parkeervergunning is afgewezen terwijl ik geen oprit heb. Waarom?",
            "Wat kost het om {day} in het centrum te parkeren?",
        ),
        (
            "Uw kenteken wijzigt u zelf op molendam.example/parkeren. Het werkt binnen een uur.",
            "Bewoners van de {street} kunnen een bezoekerspas aanvragen voor 60 uur per kwartaal.",
            "In het centrum betaalt u van 9.00 tot 20.00 uur. Op zondag is parkeren gratis.",
        ),
        ask_back="Staat u op dit adres ingeschreven, en staat het kenteken op uw naam?",
        told="Ingeschreven ja, maar het is een leaseauto.",
        difficulty=EASY,
    ),
    Topic(
        "Evenementen",
        6,
        (
            "Gaat de braderie op de Oude Haven {day} door met deze wind?",
            "Tot hoe laat duurt de kermis op het Molenplein?",
            "Kan onze buurt nog meedoen met de lichtjesmarkt?",
            "Waar kunnen we onze fietsen kwijt bij het festival?",
        ),
        (
            "Ja, het gaat door. Bij harde wind leest u het een uur van tevoren op deze pagina.",
            "De kermis sluit op werkdagen om 22.00 uur en in het weekend om 23.30 uur.",
            "Aanmelden kan tot {day} via molendam.example/meedoen. Wat leuk dat u meedoet!",
        ),
        ask_back="Met hoeveel mensen wilt u meedoen? Dan kijken wij of er een kraam past.",
        told="Met een man of zes, en een kleine partytent.",
        difficulty=EASY,
    ),
    Topic(
        None,
        8,
        (
            "Bij wie moet ik zijn met een vraag over het bankje bij de brug?",
            "Waarom krijg ik geen antwoord op mijn mail van vorige week?",
            "Ik zoek iemand die weet wie de sleutel van het buurthuis aan de {street} heeft.",
            "Hebben jullie een telefoonnummer waar niet eerst een keuzemenu komt?",
        ),
        (
            "Dank voor uw bericht. Wij hebben uw vraag doorgegeven en een collega belt u {day}.",
            "Dat had beter gemoeten. Uw bericht is gevonden en wordt vandaag beantwoord.",
            "Vragen over het buurthuis kunt u stellen aan de beheerder; die is er elke ochtend.",
        ),
        ask_back="Kunt u er iets meer over vertellen? Dan brengen wij u bij de goede collega.",
        told="Het gaat om de hoek bij nummer {number}.",
        vague=("Kan iemand mij helpen met iets aan de {street}? Het is nogal een verhaal.",),
    ),
    Topic(
        "Geluidsoverlast",
        4,
        (
            "Elke avond herrie van het terras aan de {street}. Wie doet hier wat aan?",
            "Is er iemand die over geluidsoverlast gaat? Ik word van het kastje naar de muur gestuurd.",
            "Dat lawaai van de koelinstallatie bij nummer {number} gaat de hele nacht door.",
        ),
        (
            "Vervelend voor u. Wij zoeken uit wie dit kan oppakken en komen er {day} bij u op terug.",
            "Uw melding staat genoteerd. Bel bij overlast in de nacht het algemene nummer.",
        ),
        ask_back="Op welke tijden heeft u er last van?",
        told="Meestal tussen elf en een uur 's nachts.",
        difficulty=HARD,
        intent=Intent.COMPLAINT,
    ),
)

DEPARTMENT_TOPICS = (
    Topic(
        "Verhuizen en akten",
        3,
        (
            "Ik ben verhuisd naar de {street} {number}. Tot wanneer kan ik dat doorgeven?",
            "Hoe vraag ik een geboorteakte van mijn moeder op, zij is hier in 1951 geboren?",
            "Ik heb een uittreksel nodig voor mijn werkgever in het buitenland, in het Engels graag.",
        ),
        (
            "U geeft een verhuizing door vanaf vier weken voor tot vijf dagen na de verhuisdag.",
            "Een afschrift vraagt u online aan; wij sturen het binnen drie werkdagen.",
            "Een meertalig uittreksel kan. Kies bij de aanvraag voor het internationale model.",
        ),
        ask_back="Gaat het om u alleen of verhuist er iemand mee?",
        told="Met mijn partner en twee kinderen.",
        intent=Intent.REQUEST,
    ),
    Topic(
        "Zwerfafval en dumping",
        3,
        (
            "Er is weer grof vuil gedumpt achter de {street}. Dit is de vierde keer.",
            "Bij de Rietlaan ligt overal zwerfafval na {day}. Wie ruimt dat op?",
            "Vuilniszakken naast de bak in de {street}, de meeuwen doen de rest.",
        ),
        (
            "Wij halen het {day} weg en kijken of er een naam in de spullen zit.",
            "Dank voor de melding. De veegploeg komt {day} langs de {street}.",
        ),
        ask_back="Kunt u zeggen aan welke kant van de straat het ligt?",
        told="Aan de kant van de sloot, achter de schuurtjes.",
        intent=Intent.REPORT,
    ),
    Topic(
        "Straatverlichting",
        3,
        (
            "De lantaarnpaal voor nummer {number} in de {street} knippert al dagen.",
            "Het is pikdonker op het fietspad, de straatverlichting doet het niet bij de {street}.",
            "Drie lampen op rij kapot in de {street}. Mijn moeder durft er niet meer langs.",
        ),
        (
            "De storing is gemeld. De monteur komt {day}; met uw aanwijzing vindt hij de paal zeker.",
            "Er is een kabelbreuk gevonden bij de {street}. Wij verwachten dat alles {day} weer brandt.",
        ),
        ask_back="Staat er een nummer op de paal? Het zit op ooghoogte.",
        told="Ja, nummer {number}.",
        intent=Intent.REPORT,
    ),
    Topic(
        "Bomen en groen",
        3,
        (
            "De boom voor {street} {number} hangt gevaarlijk schuin sinds de storm.",
            "Wanneer komen jullie snoeien in de {street}? Je ziet het verkeer niet meer.",
            "Waarom moeten die mooie bomen aan de Rietlaan weg?",
        ),
        (
            "Onze boominspecteur gaat {day} kijken. Blijf tot die tijd uit de buurt van de stam.",
            "In deze buurt snoeien wij na het broedseizoen. De hoek bij de {street} doen wij eerder.",
            "De bomen zijn ziek. Er komen in het voorjaar twaalf jonge lindes voor terug.",
        ),
        ask_back="Ligt de boom tegen een gebouw of kabel aan?",
        told="Nee, maar hij hangt wel over het voetpad.",
        difficulty=HARD,
        intent=Intent.REPORT,
    ),
    Topic(
        "Verkeersveiligheid",
        2,
        (
            "In de {street} wordt veel te hard gereden langs de school. Komt er ooit een drempel?",
            "Dat zebrapad bij de Sluiskade ziet niemand. Moet er eerst iets gebeuren?",
            "Kan de oversteek bij de {street} worden verlicht? Een idee van de hele klas.",
        ),
        (
            "Wij meten er {day} een week lang de snelheid. De uitkomst delen wij met de buurt.",
            "De oversteek staat op de lijst voor het voorjaar. Wij plaatsen nu alvast waarschuwingsborden.",
        ),
        ask_back="Op welk moment van de dag is het het ergst?",
        told="Tussen acht en half negen, als de school begint.",
        intent=Intent.COMPLAINT,
    ),
    Topic(
        "Bouwplannen en vergunningen",
        4,
        (
            "Heb ik een omgevingsvergunning nodig voor een dakkapel aan de achterkant van {street} {number}?",
            "De buren bouwen iets dat niet op tekening stond. Wie controleert dat bouwplan?",
            (
                "Al vier maanden wachten wij op antwoord over ons bouwplan aan de {street}. De aannemer haakt af, "
                "de prijs van het hout stijgt en elke keer krijgen wij iemand anders aan de telefoon die zegt dat het "
                "dossier compleet is en dat er vanzelf bericht komt. Wij hebben alle stukken twee keer gestuurd, de "
                "constructeur heeft zijn berekening aangepast aan wat er gevraagd werd, de buren hebben getekend dat "
                "zij geen bezwaren hebben, en nog steeds weten wij niet wie er beslist, wanneer dat gebeurt en of het "
                "zin heeft om de offerte nog een maand aan te houden. Wie kan ons een eerlijk antwoord geven?"
            ),
            "Past een pension binnen het bestemmingsplan van de Kleine Dijk?",
        ),
        (
            "Voor een dakkapel achter is meestal geen vergunning nodig. Doe de check op molendam.example/bouwen.",
            "Onze inspecteur gaat {day} kijken. U hoort van ons wat hij aantreft.",
            "Uw dossier ligt bij de welstandscommissie; zij beslist {day}. Excuses dat dit zo lang duurde.",
        ),
        ask_back="Wat is het zaaknummer? Het staat boven onze brief.",
        told="Het is {number} van dit jaar.",
        difficulty=HARD,
        intent=Intent.COMPLAINT,
    ),
    Topic(
        "Bezwaar en beroep",
        2,
        (
            "Ik ben het niet eens met het besluit over de {street}. Kan ik hier bezwaar maken?",
            "Binnen hoeveel weken moet een bezwaarschrift binnen zijn?",
        ),
        (),
        referral="Bezwaar maken kan alleen met een brief of online, binnen zes weken: molendam.example/bezwaar.",
        difficulty=HARD,
        intent=Intent.FORMAL_REQUEST,
    ),
    Topic(
        "Schulden en bijstand",
        2,
        (
            "Ik kan de huur niet meer betalen en heb schulden. Met wie kan ik praten?",
            "Hoe vraag ik bijstand aan als ik nog een halve baan heb?",
            "Mijn uitkering is {day} niet gestort, wat nu?",
        ),
        (
            "Goed dat u het vraagt. U kunt {day} zonder afspraak terecht bij het wijkteam, ook om alleen te praten.",
            "Wij hebben het nagekeken en bellen u vandaag nog over de betaling.",
        ),
        ask_back="Op welk nummer kunnen wij u rustig bellen?",
        told="Het liefst na vier uur, op mijn mobiel.",
        difficulty=HARD,
        intent=Intent.REQUEST,
    ),
    Topic(
        "Belastingaanslag",
        3,
        (
            "Op mijn aanslag staat een hond. Ik heb geen hond.",
            "Kan ik de gemeentebelasting in delen betalen?",
            "Hoe is de WOZ-waarde van {street} {number} berekend? De buren zitten veel lager.",
            "Kom ik in aanmerking voor kwijtschelding als ik studeer?",
        ),
        (
            "U kunt in acht termijnen betalen met een automatische incasso; dat zetten wij voor u klaar.",
            "Wij hebben de aanslag gecorrigeerd. U krijgt binnen twee weken een nieuwe.",
            "Op molendam.example/belasting kunt u het taxatieverslag inzien en zien met welke woningen is vergeleken.",
        ),
        ask_back="Wat is het aanslagnummer? Dan kijken wij mee.",
        told="Dat is 88.{number}.",
    ),
)

HIGH_WATER = Topic(
    "Hoogwater",
    1,
    (
        "Het water staat tegen de dijk bij de {street}. Moeten wij weg?",
        "Waar kunnen we zandzakken halen?",
        "Is er evacuatie voor de Oude Haven? Mijn vader is slecht ter been.",
        "Klopt het dat de Kleine Dijk lekt? Er wordt van alles gezegd over hoogwater.",
        "Gaan de scholen {day} open met dit hoogwater?",
        "Er loopt water door de kelders in de {street}, is dat van de dijk?",
    ),
    (
        "U hoeft nu niet weg. De dijkwacht controleert elk uur; zodra dat verandert leest u het hier.",
        "Zandzakken liggen klaar op de parkeerplaats aan de Veerweg, vier per adres.",
        "Wij sturen vandaag nog iemand langs. Houd uw telefoon bij u.",
        "De Kleine Dijk is nat maar lekt niet. Het is kwelwater, en dat wordt weggepompt.",
    ),
    ask_back="Op welk huisnummer is dat? Dan stuurt de dijkwacht iemand.",
    told="Nummer {number}, de groene deur.",
    intent=Intent.REPORT,
)
