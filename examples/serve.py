"""Serves an exported network over HTTP, with ONNX Runtime and FastAPI.

python -m shared_bottom export runs/clicks --out clicks.onnx
python examples/serve.py clicks.onnx --port 8000
"""

from typing import Annotated, Any

from pydantic import Field
from tyro.conf import Positional

from shared_bottom import ExportedModel
from shared_bottom.cli.program import importing, run

with importing("examples"):
    import uvicorn
    from fastapi import FastAPI
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse

MOST_ROWS = 10_000
"""Most rows of one request."""


def app_of(path: str) -> FastAPI:
    """The application that serves a file. What a row may have, the file's metadata says."""
    model = ExportedModel(path)
    Row: Any = model.row  # noqa: N806  a class
    app = FastAPI(title="Predictions", description=f"By the network in {path}")

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Any, error: RequestValidationError) -> JSONResponse:  # without the input: NaN is no JSON
        return JSONResponse({"detail": [{name: e[name] for name in e if name != "input"} for e in error.errors()]}, 422)

    @app.post("/predict")
    async def predict(row: Row) -> dict[str, Any]:
        return model.predict([row])[0]

    @app.post("/predict_rows")
    def predict_rows(rows: Annotated[list[Row], Field(min_length=1, max_length=MOST_ROWS)]) -> list[dict[str, Any]]:
        return model.predict(rows)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metadata")
    async def metadata() -> dict[str, Any]:
        return model.metadata

    return app


def main(file: Positional[str], host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve what the command export wrote, until Ctrl-C."""
    uvicorn.run(app_of(file), host=host, port=port, log_level="warning")


if __name__ == "__main__":
    run(main)
