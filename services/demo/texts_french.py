# SPDX-License-Identifier: EUPL-1.2
"""What the citizens of Waterrode ask and what they are told, in French. All of it is invented, place and people too."""

from services.conversations.rules import Difficulty, Intent, Outcome
from services.demo.plans import Topic, Voice

HARD, EASY = Difficulty.HARD, Difficulty.EASY

TOPICS = (
    Topic(
        "Heures d'ouverture et rendez-vous",
        14,
        (
            "Bonjour, la maison communale est-elle ouverte {day} après 16 h ?",
            "Faut-il un rendez-vous pour passer au guichet {day} ?",
            "Quelles sont vos heures d'ouverture pendant les congés ?",
        ),
        (
            "Bonjour, le guichet est ouvert du lundi au vendredi de 9 h à 17 h, sans interruption.",
            "Le matin, vous pouvez venir librement ; l'après-midi, nous recevons sur rendez-vous.",
        ),
        ask_back="Pour quelle démarche souhaitez-vous venir ?",
        told="Pour faire légaliser une signature.",
        difficulty=EASY,
    ),
    Topic(
        "Carte d'identité et passeport",
        12,
        (
            "Ma carte d'identité arrive à échéance, dois-je attendre la convocation ?",
            "Combien de temps faut-il pour un passeport en urgence ?",
            "J'ai perdu mon permis de conduire près de la {street}, que faire ?",
        ),
        (
            "Vous pouvez venir dès maintenant avec une photo récente. Comptez trois semaines.",
            "En procédure d'urgence, le document est prêt le lendemain avant midi.",
            "Signalez d'abord la perte à la police ; nous établissons ensuite un document provisoire.",
        ),
        ask_back="Avez-vous encore l'ancien document ?",
        told="Non, il a été volé avec mon sac.",
        difficulty=EASY,
    ),
    Topic(
        "Collecte des déchets",
        14,
        (
            "Les sacs bleus n'ont pas été ramassés {day} dans la {street}.",
            "Quand passe la collecte des papiers et cartons ?",
            "Où trouver les sacs pour les déchets organiques ?",
            "Le conteneur à verre de la {street} déborde encore.",
        ),
        (
            "Merci de nous prévenir. Une tournée de rattrapage passe {day}.",
            "Le calendrier est sur waterrode.example/dechets, rue par rue.",
            "Les sacs sont vendus à l'accueil et à la boulangerie de la place.",
        ),
        ask_back="À quel numéro les sacs se trouvent-ils ?",
        told="Devant le {number}.",
        difficulty=EASY,
        intent=Intent.REPORT,
    ),
    Topic(
        None,
        7,
        (
            "À qui faut-il écrire pour emprunter les tables de la salle ?",
            "Personne ne décroche depuis ce matin, est-ce normal ?",
            "Avez-vous une adresse pour remercier le personnel de la cantine ?",
        ),
        (
            "Votre message est transmis, une collègue vous rappelle {day}.",
            "Toutes nos excuses, la ligne est rétablie. Nous vous lisons ici aussi.",
        ),
        ask_back="Pouvez-vous nous en dire un peu plus ?",
        told="C'est pour une fête de quartier, une quarantaine de personnes.",
        vague=("Pouvez-vous m'aider pour la {street} ? C'est un peu long à expliquer.",),
    ),
    Topic(
        "Fêtes et salles",
        5,
        (
            "La brocante de {day} est-elle maintenue malgré la pluie ?",
            "Comment réserver la salle des fêtes pour un baptême ?",
        ),
        (
            "Oui, elle est maintenue. En cas de tempête, l'annonce sera faite ici à 7 h.",
            "La réservation se fait à l'accueil, au plus tard un mois avant.",
        ),
        ask_back="Combien de personnes attendez-vous ?",
        told="Une soixantaine.",
        difficulty=EASY,
    ),
    Topic(
        "Changement d'adresse et actes",
        4,
        (
            "Je viens de déménager {street} {number}, comment me domicilier ?",
            "Comment obtenir un acte de naissance pour un mariage à l'étranger ?",
        ),
        (
            "La déclaration se fait en ligne ou au guichet dans les huit jours ; l'agent de quartier passe ensuite.",
            "Nous vous l'envoyons sous trois jours, en version internationale.",
        ),
        ask_back="Déménagez-vous seul ou en famille ?",
        told="À trois, avec un bébé.",
        intent=Intent.REQUEST,
    ),
    Topic(
        "Voirie et éclairage",
        5,
        (
            "Un nid-de-poule énorme s'est ouvert {street}, devant le {number}.",
            "L'éclairage public est en panne depuis {day} dans la {street}.",
            "Le trottoir de la {street} est dangereux avec une poussette.",
        ),
        (
            "L'équipe passe {day}. Un cône est déjà posé.",
            "La panne est signalée au gestionnaire du réseau, rétablissement prévu {day}.",
        ),
        ask_back="Y a-t-il un numéro sur le poteau ?",
        told="Oui, le {number}.",
        difficulty=HARD,
        intent=Intent.REPORT,
    ),
    Topic(
        "Recours",
        1,
        ("Je veux introduire un recours contre le permis de la {street}.",),
        (),
        referral="Un recours s'introduit par lettre recommandée dans les trente jours : waterrode.example/recours.",
        difficulty=HARD,
        intent=Intent.FORMAL_REQUEST,
    ),
    Topic(
        "Aide sociale",
        1,
        ("Je n'arrive plus à payer le chauffage, à qui parler d'une aide sociale ?",),
        ("Vous pouvez passer {day} sans rendez-vous, une assistante vous reçoit en toute discrétion.",),
        ask_back="À quel numéro peut-on vous joindre tranquillement ?",
        told="Après 17 h, sur mon portable.",
        difficulty=HARD,
        intent=Intent.REQUEST,
    ),
    Topic(
        "Bruit",
        1,
        ("Tapage chaque nuit derrière la {street}. Qui s'occupe du bruit ici ?",),
        ("Nous cherchons qui peut agir et revenons vers vous {day}.",),
        ask_back="À quelles heures surtout ?",
        told="Entre 23 h et 2 h.",
        difficulty=HARD,
        intent=Intent.COMPLAINT,
    ),
)

FRENCH = Voice(
    acknowledgements=(
        "Merci pour votre message. Nous nous renseignons et revenons vers vous {day}.",
        "Bien reçu ! Une collègue regarde cela.",
    ),
    thanks=("Merci, c'est clair !", "Parfait, merci beaucoup.", "Merci pour la rapidité."),
    again=(
        "Je reviens vers vous : rien n'a bougé. Où en est-on ?",
        "Encore une question : est-ce valable aussi pour ma mère ?",
    ),
    answers_again=(
        "Toutes nos excuses. C'est relancé aujourd'hui et nous vérifions {day}.",
        "Oui, c'est valable pour elle aussi.",
    ),
    additions=("Pour compléter : c'est possible aussi par téléphone, jusqu'à 17 h.",),
    compliments=(
        "Bravo à l'équipe des plantations, la {street} est superbe !",
        "Très bel accueil au téléphone, merci.",
    ),
    spam=("Gagnez 900 par jour sans sortir de chez vous, écrivez-moi vite !!!",),
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
