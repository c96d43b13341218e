"""A request to an application without a network."""

import asyncio


def ask(app, path, *parts, headers=(), method="GET", end=b"", host="127.0.0.1"):
    """Status, headers and body of the answer to a request whose body comes in parts, and how many of these were taken.

    `end` is the last part: None where the client goes away, `idle` where it waits first.
    """
    path, _, query = path.partition("?")
    left = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    left.append({"type": "http.disconnect"} if end is None else {"type": "http.request", "body": end})
    sent, taken = [], []

    async def receive():
        taken.append(1)
        if end == b"idle" and len(left) == 1:
            await asyncio.sleep(60)
        return left.pop(0)

    async def send(message):
        sent.append(message)

    given = {"host": f"{host}:8000", **dict(headers)}
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "root_path": "", "scheme": "http", "server": ("127.0.0.1", 8000),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(part.get("body", b"") for part in sent[1:]), len(taken)
