# SPDX-License-Identifier: EUPL-1.2
"""What the citizens of Waterrode ask and what they are told, in French. All of it is invented, place and people too."""

from services.conversations.rules import Difficulty, Intent, Outcome
from services.demo.plans import Question, Topic, Voice

HARD, EASY = Difficulty.HARD, Difficulty.EASY

TOPICS = (
    Topic(
        "Heures d'ouverture et rendez-vous",
        14,
        (
            Question(
                "Bonjour, la maison communale est-elle ouverte {day} après 16 h ?",
                "Bonjour, oui, jusqu'à 17 h, comme tous les jours ouvrables.",
            ),
            Question(
                "Faut-il un rendez-vous pour passer au guichet {day} ?",
                "Le matin, vous pouvez venir librement ; l'après-midi, nous recevons sur rendez-vous.",
                "Pour quelle démarche souhaitez-vous venir ?",
                "Pour faire légaliser une signature.",
            ),
            Question(
                "Quelles sont vos heures d'ouverture pendant les congés ?",
                "Les mêmes, de 9 h à 17 h, sauf les jours fériés.",
            ),
        ),
        difficulty=EASY,
    ),
    Topic(
        "Carte d'identité et passeport",
        12,
        (
            Question(
                "Ma carte d'identité arrive à échéance, dois-je attendre la convocation ?",
                "Non, vous pouvez venir dès maintenant avec une photo récente. Comptez trois semaines.",
            ),
            Question(
                "Combien de temps faut-il pour un passeport en urgence ?",
                "En procédure d'urgence, il est prêt le lendemain avant midi.",
                "Quand partez-vous ?",
                "Dans cinq jours.",
            ),
            Question(
                "J'ai perdu mon permis de conduire près de la {street}, que faire ?",
                "Signalez d'abord la perte à la police ; nous établissons ensuite un document provisoire.",
            ),
        ),
        difficulty=EASY,
    ),
    Topic(
        "Collecte des déchets",
        14,
        (
            Question(
                "Les sacs bleus n'ont pas été ramassés {day} dans la {street}.",
                "Merci de nous prévenir. Une tournée de rattrapage passe demain matin.",
                "À quel numéro les sacs se trouvent-ils ?",
                "Devant le {number}.",
            ),
            Question(
                "Quand passe la collecte des papiers et cartons ?",
                "Le calendrier est sur waterrode.example/dechets, rue par rue.",
            ),
            Question(
                "Où trouver les sacs pour les déchets organiques ?",
                "Ils sont vendus à l'accueil et à la boulangerie de la place.",
            ),
            Question(
                "Le conteneur à verre de la {street} déborde encore.",
                "Il sera vidé {day}, et nous demandons un second passage par semaine.",
            ),
        ),
        difficulty=EASY,
        intent=Intent.REPORT,
    ),
    Topic(
        None,
        7,
        (
            Question(
                "À qui faut-il écrire pour emprunter les tables de la cantine ?",
                "C'est noté, une collègue vous rappelle {day} pour les clés.",
                "Combien de tables vous faut-il ?",
                "Une dizaine, pour une fête de quartier.",
            ),
            Question(
                "Personne ne décroche depuis ce matin, est-ce normal ?",
                "Toutes nos excuses, la ligne est rétablie. Nous vous lisons ici aussi.",
            ),
            Question(
                "Avez-vous une adresse pour remercier le personnel de la cantine ?",
                "Écrivez-nous ici, nous afficherons votre mot dans la cuisine.",
            ),
        ),
        vague=(
            Question(
                "Pouvez-vous m'aider pour la {street} ? C'est un peu long à expliquer.",
                "Merci pour ces précisions, un collègue passe {day}.",
                "Bien sûr. De quoi s'agit-il ?",
                "Du coin près du {number}, et de qui s'en occupe.",
            ),
        ),
    ),
    Topic(
        "Fêtes et salles",
        5,
        (
            Question(
                "La brocante de {day} est-elle maintenue malgré la pluie ?",
                "Oui, elle est maintenue. En cas de tempête, l'annonce sera faite ici à 7 h.",
            ),
            Question(
                "Comment réserver la salle des fêtes pour un baptême ?",
                "La réservation se fait à l'accueil, au plus tard un mois avant.",
                "Combien de personnes attendez-vous ?",
                "Une soixantaine.",
            ),
        ),
        difficulty=EASY,
    ),
    Topic(
        "Changement d'adresse et actes",
        4,
        (
            Question(
                "Je viens de déménager {street} {number}, comment me domicilier ?",
                "La déclaration se fait en ligne ou au guichet, dans les huit jours ; un agent passe ensuite.",
                "Déménagez-vous seul ou en famille ?",
                "À trois, avec un bébé.",
            ),
            Question(
                "Comment obtenir un acte de naissance pour un mariage à l'étranger ?",
                "Nous vous l'envoyons sous trois jours, en version internationale.",
            ),
        ),
        intent=Intent.REQUEST,
    ),
    Topic(
        "Voirie et éclairage",
        5,
        (
            Question(
                "Un nid-de-poule énorme s'est ouvert {street}, devant le {number}.",
                "L'équipe passe {day}. Un cône est déjà posé.",
            ),
            Question(
                "L'éclairage public est en panne depuis {day} dans la {street}.",
                "La panne est signalée au gestionnaire du réseau, qui intervient cette semaine.",
                "Y a-t-il un numéro sur le poteau ?",
                "Oui, le {number}.",
            ),
            Question(
                "Le trottoir de la {street} est dangereux avec une poussette.",
                "Deux dalles seront remplacées {day}. Merci de l'avoir signalé.",
            ),
        ),
        difficulty=HARD,
        intent=Intent.REPORT,
    ),
    Topic(
        "Recours",
        1,
        (
            Question(
                "Je veux introduire un recours contre le permis de la {street}.",
                "Un recours s'introduit par lettre recommandée dans les trente jours : waterrode.example/recours.",
            ),
        ),
        difficulty=HARD,
        intent=Intent.FORMAL_REQUEST,
    ),
    Topic(
        "Aide sociale",
        1,
        (
            Question(
                "Je n'arrive plus à payer le chauffage, à qui parler d'une aide sociale ?",
                "Vous pouvez passer {day} sans rendez-vous, une assistante vous reçoit en toute discrétion.",
                "À quel numéro peut-on vous joindre tranquillement ?",
                "Après 17 h, sur mon portable.",
            ),
        ),
        difficulty=HARD,
        intent=Intent.REQUEST,
    ),
    Topic(
        "Bruit",
        1,
        (
            Question(
                "Tapage chaque nuit derrière la {street}. Qui s'occupe du bruit ici ?",
                "Nous cherchons qui peut agir et revenons vers vous {day}.",
                "À quelles heures surtout ?",
                "Entre 23 h et 2 h.",
            ),
        ),
        difficulty=HARD,
        intent=Intent.COMPLAINT,
    ),
)

FRENCH = Voice(
    acknowledgements=(
        "Merci pour votre message. Nous nous renseignons et revenons vers vous {day}.",
        "Bien reçu ! Une collègue regarde cela.",
    ),
    referrals=("Cela relève de la province ; le service répond sur province.example. Nous avons transmis.",),
    thanks=("Merci, c'est clair !", "Parfait, merci beaucoup.", "Merci pour la rapidité."),
    again=(
        Question(
            "Je reviens vers vous : rien n'a bougé. Où en est-on ?",
            "Toutes nos excuses. C'est relancé aujourd'hui et nous vérifions {day}.",
        ),
        Question("Encore une question : est-ce valable aussi pour ma mère ?", "Oui, c'est valable pour elle aussi."),
    ),
    additions=("Pour compléter : c'est possible aussi par téléphone, jusqu'à 17 h.",),
    compliments=(
        Question("Bravo à l'équipe des plantations, la {street} est superbe !", "Merci ! Nous le leur transmettons."),
        Question("Très bel accueil au téléphone, merci.", "Votre mot fait plaisir à toute l'équipe."),
    ),
    spam=(Question("Gagnez 900 par jour sans sortir de chez vous, écrivez-moi vite !!!"),),
    closings={
        Outcome.ANSWERED: ("Réponse donnée.", "Question réglée, pas de suite."),
        Outcome.RESOLVED: ("Réglé sur place.", "Rappelé : tout est en ordre."),
        Outcome.REFERRED: ("Orienté vers la procédure formelle.",),
        Outcome.NO_ANSWER_NEEDED: ("Rien n'était demandé.",),
        Outcome.DUPLICATE: ("Même question que la précédente, déjà répondue.",),
        Outcome.SPAM: ("Publicité.",),
    },
    takeover_reason="La collègue est absente et la question ne peut pas attendre.",
    first_post=(
        "Bienvenue sur {account}. Waterrode n'existe pas : commune, habitants, rues et événements sont inventés pour "
        "montrer Belfry."
    ),
    posts=(
        "Travaux {street} à partir de {day}. Les cyclistes passent, les voitures suivent les panneaux jaunes.",
        "Conseil communal {day} à 20 h, ouvert à tous.",
        "La brocante de la place des Tilleuls cherche des bénévoles pour {day}.",
        "Le calendrier des collectes est en ligne, rue par rue.",
        "La bibliothèque ouvre plus tard {day}, avec un conte à 16 h 30.",
        "Verglas : les camions passent dès ce soir. Prudence.",
        "Plantation de douze tilleuls {street} : venez avec vos bottes.",
        "La maison communale sera fermée {day} pour formation.",
        "Bravo aux enfants pour le cortège aux lanternes !",
        "Coupure d'eau {street} {day} de 9 h à 11 h.",
    ),
    offers=("Nous avons lu que l'éclairage est en panne {street}. L'équipe passe {day}.",),
    streets=(
        "rue du Vieux-Pont",
        "rue des Saules",
        "rue de l'Écluse",
        "rue du Moulin-Blanc",
        "rue des Aulnes",
    ),
    days=("lundi", "mardi", "mercredi", "jeudi", "vendredi"),
    given_names=(
        *("Agathe", "Brahim", "Colette", "Didier", "Emeline", "Farid", "Gaëlle", "Hervé", "Isaline", "Joël"),
        *("Karim", "Lison", "Maëva", "Noé", "Odile", "Pascal"),
    ),
    family_names=(
        *("Aubépin", "Boisclair", "Crespin-Val", "Dumoulinet", "Estival", "Fontarbre", "Grandrieu", "Houblon"),
        *("Jonquière", "Lavandier", "Mirabel", "Noirmont", "Orpierre", "Prévallon"),
    ),
)
