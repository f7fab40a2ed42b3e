import asyncio, time
from tests.workers.test_poll import *
from tests.support.fake_atproto import Refused
async def test_x(stage):
    orig = stage.fake._handlers["com.atproto.server.refreshSession"]
    t0=time.monotonic()
    def spy(request, body):
        tok=request.headers.get("authorization","")
        try:
            r=orig[1](request, body); print(f"{time.monotonic()-t0:.3f} refresh ok", tok[-40:-10]); return r
        except Refused as e:
            print(f"{time.monotonic()-t0:.3f} refresh refused", tok[-40:-10], e.error); raise
    stage.fake._handlers["com.atproto.server.refreshSession"]=("POST",spy)
    for k in range(4):
        name = stage.new_name()
        town = await stage.town(name)
        questions = [stage.mention(name, f"vraag {number}", by=f"citizen{number}") for number in range(6)]
        conversations = [await stage.conversation_of(town, question.uri) for question in questions]
        print('expire', stage.fake.network.expire_access(name), f"{time.monotonic()-t0:.3f}")
        deliveries = await asyncio.gather(*(town.answer(each, f"Antwoord {each}") for each in conversations))
        for d in deliveries:
            async def ended():
                s=await stage.state_of(d); return s if s in ("PUBLISHED","FAILED","NEEDS_DECISION","SUSPENDED") else None
            print(await until(ended,'x'), await stage.evidence.outcomes(d), (await stage.evidence.delivery(d))['error'])
        print(await connection_of(stage, town))
