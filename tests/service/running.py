"""A service as it runs in production: uvicorn, a socket, a store on the disk."""

import io
import json
import logging
import socket
import threading
import time

import urllib3
import uvicorn

from warmstart.service import logs
from warmstart.service.app import create_app
from warmstart.service.core import Service
from warmstart.service.settings import ServiceConfig
from warmstart.store import open_store


class Running:
    """A server in a thread; `key` is of an admin of the default tenant."""

    def __init__(self, model, store, **config):
        self.model, self.path = model, store
        self.config = ServiceConfig.parse({"poll_seconds": 0.1, "threads": 2} | config)
        self.log = io.StringIO()

    def __enter__(self):
        logs.configure(self.log)
        self.store = open_store(self.path)
        self.service = Service(self.model, self.store, self.config)
        self.app = create_app(self.service)
        self.key = self.new_key("default", "admin")
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        settings = uvicorn.Config(self.app, log_level="warning", access_log=False, lifespan="on")
        self.server = uvicorn.Server(settings)
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True
        )
        self.thread.start()
        self.http = urllib3.PoolManager(maxsize=64, retries=False)
        until = time.monotonic() + 30
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.01)
        assert self.server.started
        return self

    def __exit__(self, *_):
        self.http.clear()
        self.server.should_exit = True
        self.thread.join(30)
        self.socket.close()
        assert not self.thread.is_alive()
        logging.getLogger("warmstart.service").handlers = []

    def new_key(self, tenant, *scopes):
        return self.store.create_key(tenant, set(scopes), now=time.time())[0]

    def ask(self, method, path, body=None, *, key="", headers=None, raw=None):
        """Return (status, headers, plain values) of one request."""
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {key or self.key}")
        if raw is None and body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        answer = self.http.request(method, self.url + path, body=raw, headers=sent, timeout=30)
        kind = answer.headers.get("Content-Type", "")
        data = json.loads(answer.data) if kind.startswith("application/json") else answer.data
        return answer.status, answer.headers, data

    def good(self, method, path, body=None, **more):
        status, _, data = self.ask(method, path, body, **more)
        assert status == 200, (status, data)
        return data

    def refused(self, method, path, body=None, **more):
        status, _, data = self.ask(method, path, body, **more)
        assert set(data) == {"error"}, data
        assert isinstance(data["error"]["message"], str)
        return status, data["error"]["code"]

    def logged(self, event):
        """Return the lines of the log on an event; they may be a moment later than the answer."""
        until = time.monotonic() + 2
        while True:
            lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
            found = [line for line in lines if line["event"] == event]
            if found or time.monotonic() > until:
                return found
            time.sleep(0.01)

    def liked(self, user, *items, id=None):
        events = [
            {"id": f"{id or user}-{item}", "user": user, "item": item, "event": "like",
             "timestamp": 1.7e9}
            for item in items
        ]  # fmt: skip
        return self.good("POST", "/v1/events", {"events": events})
