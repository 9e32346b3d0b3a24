"""
Example: Asynchronously create and poll a KYC application
"""
import asyncio
import os
from uuid import uuid4

import httpx
from crowdpy_auth import CrowdPayAuth  # Internal shared lib

API_BASE = os.getenv("KYC_API_URL", "http://localhost:8180/v1")


async def submit_kyc_session(token: str) -> str:
    async with httpx.AsyncClient(auth=CrowdPayAuth(token=token)) as client:
        resp = await client.post(
            f"{API_BASE}/kyc/applications",
            json={
                "user_id": str(uuid4()),
                "email": "alice@example.com",
                "documents": [
                    {
                        "doc_type": "PASSPORT",
                        "file_id": str(uuid4()),
                        "issued_country": "US",
                    }
                ],
            },
            timeout=10,
        )
        resp.raise_for_status()
        return resp.json()["id"]  # Application ID


async def wait_for_verification(app_id: str, token: str, timeout: int = 90) -> None:
    async with httpx.AsyncClient(auth=CrowdPayAuth(token=token)) as client:
        for _ in range(timeout // 3):
            resp = await client.get(f"{API_BASE}/kyc/applications/{app_id}")
            resp.raise_for_status()
            data = resp.json()
            print(f"[poll] status={data['status']}")
            if data["status"] in {"VERIFIED", "REJECTED"}:
                return
            await asyncio.sleep(3)
        raise TimeoutError("KYC verification timed out")


async def main() -> None:
    app_id = await submit_kyc_session(token=os.environ["ACCESS_TOKEN"])
    await wait_for_verification(app_id, os.environ["ACCESS_TOKEN"])
    print(f"KYC flow completed for application {app_id}")


if __name__ == "__main__":
    asyncio.run(main())
