from tests.services.assignments import test_claims_p6 as p6
from tests.services.conversations import test_ingest_p5 as p5
from tests.services.conversations.standing import found_town
from services.kernel.database import Database
import time
async def test_p5(database, database_urls, fresh_database, tell):
    other = Database(fresh_database["belfry_app"], pool_size=2)
    t=time.time()
    try:
        tell(await p5.load(database, other, database_urls, fresh_database, events=10_000, most=20, batch_max=200))
    finally:
        await other.close()
    tell(str(time.time()-t))
async def test_p6(database, database_urls, tell):
    t=time.time()
    tell(await p6.load(await found_town(database), database_urls, turns=150, questions=200))
    tell(str(time.time()-t))
