"""The floors: a FastAPI app with a route that does nothing, and one that only reads its request."""

from fastapi import FastAPI

from warmstart.service.schemas import Recommend

app = FastAPI()


@app.get("/noop")
async def noop() -> dict[str, bool]:
    """Do nothing."""
    return {"ok": True}


@app.post("/noop")
async def only_read(body: Recommend) -> dict[str, bool]:
    """Do nothing with a request that was read and checked as `/v1/recommend` does."""
    return {"ok": body.k > 0}
