import asyncio, time, pytest
from test_events import *
import httpx2

async def test_head(client):
    t=time.monotonic()
    try:
        async with asyncio.timeout(4):
            r = await client.head(FEED, headers=STREAMING)
            print("HEADSTREAM", r.status_code, dict(r.headers), time.monotonic()-t)
    except TimeoutError:
        print("HEADSTREAM hangs")
    r = await client.head(FEED)
    print("HEAD", r.status_code, dict(r.headers))
    r = await client.head("/v1/kyc/applications")
    print("HEADAPP", r.status_code, dict(r.headers))
    for m in ("POST","OPTIONS"):
        r = await client.request(m, FEED); print(m, r.status_code, dict(r.headers), r.text)
    for q, h in (("?after=%00",{}),("?after="+"A"*5000,{}),("",{"Last-Event-ID":"x"}),("",{"Last-Event-ID":"\xe9"}),("",{"Last-Event-ID":"end"}),("",{"Last-Event-ID":""}),("?after=&after=end",{}),("?after=",{}),("?limit=007",{}),("?type=",{}),("?types=KYC_CREATED",{}),("",{"Accept":"application/json"}),("",{"Accept":"application/cloudevents-batch+json;q=0, */*"}),("",{"Accept":"text/event-stream;q=0.5, */*;q=0.1"}),("",{"Prefer":"wait=abc"})):
        try:
            async with asyncio.timeout(3):
                async with client.stream("GET", FEED+q, headers=h) as r:
                    ct=r.headers["content-type"]
                    print("Q", q[:30], h, r.status_code, ct, dict(r.headers).get("vary"), (await r.aread()).decode()[:150] if "stream" not in ct else "")
        except TimeoutError: print("Q", q, h, "timeout")
