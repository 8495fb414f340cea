"""The floor: a FastAPI app whose one route does nothing."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/noop")
async def noop() -> dict[str, bool]:
    """Do nothing."""
    return {"ok": True}
