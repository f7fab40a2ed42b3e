# SPDX-License-Identifier: EUPL-1.2
"""The people of both organizations. Everybody is invented; addresses end in .example, which belongs to nobody."""

from services.demo.plans import PersonPlan
from services.kernel.access import Role

OPERATOR, COORDINATOR, MANAGER = Role.OPERATOR, Role.COORDINATOR, Role.MANAGER
ADMIN, EXPERT, VIEWER = Role.ADMIN, Role.EXPERT, Role.VIEWER

MOLENDAM = (
    PersonPlan("noor.verschuur", "Noor Verschuur", ((OPERATOR, "WEBCARE"),)),
    PersonPlan("daan.hoekwater", "Daan Hoekwater", ((OPERATOR, "WEBCARE"),)),
    PersonPlan("samira.elbourak", "Samira el Bourak", ((OPERATOR, "BURGZ"), (OPERATOR, "BELAST"))),
    PersonPlan("femke.dijkgraaf", "Femke Dijkgraaf", ((OPERATOR, "RUIMTE"),)),
    PersonPlan("ruben.tolhuis", "Ruben Tolhuis", ((OPERATOR, "VERGUN"), (OPERATOR, "PARKEER")), is_avoider=True),
    PersonPlan("lotte.wagenmeer", "Lotte Wagenmeer", ((OPERATOR, "SOCIAAL"),)),
    PersonPlan("cem.aydemir", "Cem Aydemir", ((OPERATOR, "COMM"), (OPERATOR, "VEILIG"))),
    PersonPlan("marit.sluisman", "Marit Sluisman", ((COORDINATOR, None),)),
    PersonPlan("joris.vanderklei", "Joris van der Klei", ((COORDINATOR, None), (OPERATOR, "WEBCARE"))),
    PersonPlan("henriette.bos", "Henriëtte Bosscha", ((MANAGER, None),)),
    PersonPlan("willem.kaagman", "Willem Kaagman", ((MANAGER, "RUIMTE"),)),
    PersonPlan("anouk.zeeman", "Anouk Zeemanszoon", ((ADMIN, None),)),
    PersonPlan("pieter.elsbos", "Pieter Elsbos", ((EXPERT, "GROEN"),)),
    PersonPlan("gerda.molenaar", "Gerda Molenaarsma", ((VIEWER, None),)),
)

WATERRODE = (
    PersonPlan("elise.vandermoulin", "Élise Vandermoulin", ((OPERATOR, "ACCUEIL"),)),
    PersonPlan("bastien.delorge", "Bastien Delorge", ((OPERATOR, "TRAVAUX"), (OPERATOR, "POPUL"))),
    PersonPlan("nadia.berkan", "Nadia Berkan", ((COORDINATOR, None),)),
    PersonPlan("luc.fontenelle", "Luc Fontenelle", ((MANAGER, None),)),
    PersonPlan("sylvie.aubrais", "Sylvie Aubrais", ((ADMIN, None),)),
    PersonPlan("theo.lacreuse", "Théo Lacreuse", ((EXPERT, "TRAVAUX"),)),
    PersonPlan("ines.roblin", "Inès Roblin", ((VIEWER, None),)),
)
