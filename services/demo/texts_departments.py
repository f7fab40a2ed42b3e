# SPDX-License-Identifier: EUPL-1.2
"""What Molendam's desk cannot answer from what it knows: questions for the departments, in Dutch, all invented."""

from services.conversations.rules import Difficulty, Intent
from services.demo.plans import Question, Topic

HARD = Difficulty.HARD

DEPARTMENT_TOPICS = (
    Topic(
        "Verhuizen en akten",
        3,
        (
            Question(
                "Ik ben verhuisd naar de {street} {number}. Tot wanneer kan ik dat doorgeven?",
                "Tot vijf dagen na de verhuisdag. Het kan online, met uw huurcontract of koopakte.",
                "Gaat het om u alleen of verhuist er iemand mee?",
                "Met mijn partner en twee kinderen.",
            ),
            Question(
                "Hoe vraag ik een geboorteakte van mijn moeder op, zij is hier in 1951 geboren?",
                "Een afschrift vraagt u online aan; wij sturen het binnen drie werkdagen.",
            ),
            Question(
                "Ik heb een uittreksel nodig voor mijn werkgever in het buitenland, in het Engels graag.",
                "Een meertalig uittreksel kan. Kies bij de aanvraag voor het internationale model.",
            ),
        ),
        intent=Intent.REQUEST,
    ),
    Topic(
        "Zwerfafval en dumping",
        3,
        (
            Question(
                "Er is weer grof vuil gedumpt achter de {street}. Dit is de vierde keer.",
                "Wij halen het {day} weg en kijken of er een naam in de spullen zit.",
                "Kunt u zeggen aan welke kant het ligt?",
                "Aan de kant van de sloot, achter de schuurtjes.",
            ),
            Question(
                "Bij de Rietlaan ligt overal zwerfafval na {day}. Wie ruimt dat op?",
                "Dank voor de melding. De veegploeg komt morgenvroeg langs de Rietlaan.",
            ),
            Question(
                "Vuilniszakken naast de bak in de {street}, de meeuwen doen de rest.",
                "Ze zijn opgehaald. Er komt een tweede bak bij.",
            ),
        ),
        intent=Intent.REPORT,
    ),
    Topic(
        "Straatverlichting",
        3,
        (
            Question(
                "De lantaarnpaal voor nummer {number} in de {street} knippert al dagen.",
                "De storing is gemeld. De monteur komt {day}.",
                "Staat er een nummer op de paal? Het zit op ooghoogte.",
                "Ja, 4{number}.",
            ),
            Question(
                "Het is pikdonker op het fietspad, de straatverlichting doet het niet bij de {street}.",
                "Er is een kabelbreuk gevonden. Wij verwachten dat alles {day} weer brandt.",
            ),
            Question(
                "Drie lampen op rij kapot in de {street}. Mijn moeder durft er niet meer langs.",
                "Dat begrijpen wij. De drie lampen worden {day} vervangen.",
            ),
        ),
        intent=Intent.REPORT,
    ),
    Topic(
        "Bomen en groen",
        3,
        (
            Question(
                "De boom voor {street} {number} hangt gevaarlijk schuin sinds de storm.",
                "Onze boominspecteur gaat {day} kijken. Blijf tot die tijd uit de buurt van de stam.",
                "Ligt hij tegen een gebouw of een kabel aan?",
                "Nee, maar hij hangt wel over het voetpad.",
            ),
            Question(
                "Wanneer komen jullie snoeien in de {street}? Je ziet het verkeer niet meer.",
                "In deze buurt doen wij dat na het broedseizoen. De hoek bij de {street} nemen wij eerder mee.",
            ),
            Question(
                "Waarom moeten die mooie bomen aan de Rietlaan weg?",
                "De bomen zijn ziek. Er komen in het voorjaar twaalf jonge lindes voor terug.",
            ),
        ),
        difficulty=HARD,
        intent=Intent.REPORT,
    ),
    Topic(
        "Verkeersveiligheid",
        2,
        (
            Question(
                "In de {street} wordt veel te hard gereden langs de school. Komt er ooit een drempel?",
                "Wij meten er vanaf {day} een week lang de snelheid. De uitkomst delen wij met de buurt.",
                "Op welk moment van de dag is het het ergst?",
                "Tussen acht en half negen, als de school begint.",
            ),
            Question(
                "Dat zebrapad bij de Sluiskade ziet niemand. Moet er eerst iets gebeuren?",
                "Het wordt {day} opnieuw geschilderd en er komt een lamp boven.",
            ),
            Question(
                "Kan de oversteek bij de {street} worden verlicht? Een idee van de hele klas.",
                "Wat een goed idee! De oversteek staat nu op de lijst voor het voorjaar.",
            ),
        ),
        intent=Intent.COMPLAINT,
    ),
    Topic(
        "Bouwplannen en vergunningen",
        4,
        (
            Question(
                "Heb ik een omgevingsvergunning nodig voor een dakkapel aan de achterkant van {street} {number}?",
                "Voor een dakkapel achter is meestal geen vergunning nodig. Doe de check op molendam.example/bouwen.",
            ),
            Question(
                "De buren bouwen iets dat niet op tekening stond. Wie controleert dat bouwplan?",
                "Onze inspecteur gaat {day} kijken. U hoort van ons wat hij aantreft.",
                "Om welk adres gaat het?",
                "{street} {number}, aan de achterkant.",
            ),
            Question(
                (
                    "Al vier maanden wachten wij op antwoord over ons bouwplan aan de {street}. De aannemer haakt af, "
                    "de prijs van het hout stijgt en elke keer krijgen wij iemand anders aan de telefoon die zegt dat "
                    "het dossier compleet is en dat er vanzelf bericht komt. Wij hebben alle stukken twee keer "
                    "gestuurd, de constructeur heeft zijn berekening aangepast aan wat er gevraagd werd, de buren "
                    "hebben getekend dat zij geen bezwaren hebben, en nog steeds weten wij niet wie er beslist, "
                    "wanneer dat gebeurt en of het zin heeft om de offerte nog een maand aan te houden. Wie kan ons "
                    "een eerlijk antwoord geven?"
                ),
                "Uw dossier ligt bij de welstandscommissie; zij beslist {day}. Excuses dat dit zo lang duurde.",
                "Wat is het zaaknummer? Het staat boven onze brief.",
                "Dat is {number} van dit jaar.",
            ),
            Question(
                "Past een pension binnen het bestemmingsplan van de Kleine Dijk?",
                "Tot vier kamers wel, daarboven is een afwijking nodig. Een collega belt u {day} over uw plan.",
            ),
        ),
        difficulty=HARD,
        intent=Intent.COMPLAINT,
    ),
    Topic(
        "Bezwaar en beroep",
        2,
        (
            Question(
                "Ik ben het niet eens met het besluit over de {street}. Kan ik hier bezwaar maken?",
                "Bezwaar maken kan alleen met een brief of online, binnen zes weken: molendam.example/bezwaar.",
            ),
            Question(
                "Binnen hoeveel weken moet een bezwaarschrift binnen zijn?",
                "Binnen zes weken na de datum van het besluit. Indienen kan op molendam.example/bezwaar.",
            ),
        ),
        difficulty=HARD,
        intent=Intent.FORMAL_REQUEST,
    ),
    Topic(
        "Schulden en bijstand",
        2,
        (
            Question(
                "Ik kan de huur niet meer betalen en heb schulden. Met wie kan ik praten?",
                "Goed dat u het vraagt. U kunt {day} zonder afspraak naar het wijkteam, ook om alleen te praten.",
                "Op welk nummer kunnen wij u rustig bellen?",
                "Het liefst na vier uur, op mijn mobiel.",
            ),
            Question(
                "Hoe vraag ik bijstand aan als ik nog een halve baan heb?",
                "Dat kan naast uw loon. Wij rekenen het {day} samen met u uit.",
            ),
            Question(
                "Mijn uitkering is {day} niet gestort, wat nu?",
                "Wij hebben het nagekeken: er ontbrak een rekeningnummer. Het geld staat er morgen op.",
            ),
        ),
        difficulty=HARD,
        intent=Intent.REQUEST,
    ),
    Topic(
        "Belastingaanslag",
        3,
        (
            Question(
                "Op mijn aanslag staat een hond. Ik heb geen hond.",
                "De hond is eraf. U krijgt binnen twee weken een nieuwe aanslag.",
                "Wat is het aanslagnummer? Dan kijken wij mee.",
                "Dat is 88.{number}.",
            ),
            Question(
                "Kan ik de gemeentebelasting in delen betalen?",
                "Ja, in acht termijnen met een automatische incasso; dat zetten wij voor u klaar.",
            ),
            Question(
                "Hoe is de WOZ-waarde van {street} {number} berekend? De buren zitten veel lager.",
                "Op molendam.example/belasting ziet u het taxatieverslag, en met welke woningen is vergeleken.",
            ),
            Question(
                "Kom ik in aanmerking voor kwijtschelding als ik studeer?",
                "Dat hangt af van uw inkomen. De rekenhulp op molendam.example/belasting geeft meteen antwoord.",
            ),
        ),
    ),
)
