"""A hub on the loopback interface that speaks the Hugging Face Hub's protocol, and fails on demand.

It serves small files itself and redirects requests for safetensors to a second server on another port, like the real
hub, which redirects to its storage: so tests see which headers are sent to another host, and which are not.
"""

import hashlib
import json
import re
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 33 + "1"
OTHER_COMMIT = "decade" + "0" * 33 + "2"


class Fault(Exception):
    """Closes the connection at this point of the answer."""


class Hub:
    """`repositories` maps owner/name -> revision -> (commit, {file name: bytes}). `requests` records all requests."""

    def __init__(self):
        self.repositories = {}
        self.requests = []
        self.faults = defaultdict(list)  # (role, end of the path) -> functions of the handler; each request uses up one
        self.token = None  # the token that a private hub requires
        self.delay = 0.0  # seconds before each piece of a file
        self.piece = 1 << 16
        self.announced = {}  # file name -> what the listing claims about it: {"size": ..., "sha256": ...}
        self.lock = threading.Lock()
        self.storage = self._serve(Storage)
        self.front = self._serve(Front)

    def _serve(self, handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), type(handler.__name__, (handler,), {"hub": self}))
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    @property
    def url(self):
        return f"http://127.0.0.1:{self.front.server_port}"

    @property
    def storage_url(self):
        # localhost is another name for the same machine, so a client takes it for another host.
        return f"http://localhost:{self.storage.server_port}"

    def add(self, name, folder=None, files=None, *, revision="main", commit=COMMIT):
        uploaded = {} if folder is None else {path.name: path.read_bytes() for path in folder.iterdir()}
        files = uploaded | (files or {})
        self.repositories.setdefault(name, {})[revision] = (commit, files)
        return files

    def fault(self, ends, *actions, role="any"):
        """Let `actions` answer the next requests whose path has this end, one action for each request."""
        self.faults[role, ends] += actions

    def find(self, name, revision):
        for known, (commit, files) in self.repositories.get(name, {}).items():
            if revision in (known, commit):
                return commit, files
        return None

    def asked(self, ends, role=None):
        return [r for r in self.requests if r["path"].endswith(ends) and role in (None, r["role"])]

    def fetched(self):
        """Names of the files whose contents were requested."""
        return {r["path"].rsplit("/", 1)[1] for r in self.requests if "/resolve/" in r["path"] and r["method"] == "GET"}

    def close(self):
        for server in (self.front, self.storage):
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    role = ""

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        path = unquote(urlsplit(self.path).path)
        with self.hub.lock:
            headers = {key.lower(): value for key, value in self.headers.items()}
            self.hub.requests.append({"method": self.command, "path": path, "headers": headers, "role": self.role})
            action = None
            for (role, ends), actions in self.hub.faults.items():
                if actions and role in ("any", self.role) and path.endswith(ends) and self.command == "GET":
                    action = actions.pop(0)
                    break
        try:
            self.respond(path) if action is None else action(self, path)
        except (Fault, BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def reply(self, status, data=b"", headers=()):
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_content(self, data, headers=(), *, length=None, upto=None, ranges=True):
        """Send a file, or the requested range of it, announced as `length` bytes; hang up after `upto` bytes."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked and ranges else 0
        body = data[start:]
        self.send_response(206 if asked and ranges else 200)
        if asked and ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command == "HEAD":
            return
        sent = body if upto is None else body[:upto]
        for at in range(0, len(sent), self.hub.piece):
            if self.hub.delay:
                time.sleep(self.hub.delay)
            self.wfile.write(sent[at : at + self.hub.piece])
        if len(sent) < (len(body) if length is None else length):
            self.wfile.flush()
            raise Fault


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Front(_Handler):
    """The hub itself: the API, and the `resolve` URLs."""

    role = "hub"

    def respond(self, path):
        if self.hub.token and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self.reply(401, b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._listing(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            self._tree(match[1], match[2])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/(.+)/([^/]+)", path):
            self._resolve(match[1], match[2], match[3])
        else:
            self.reply(404)

    def _found(self, name, revision):
        if name not in self.hub.repositories:
            self.reply(404, b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"})
            return None
        found = self.hub.find(name, revision)
        if found is None:
            self.reply(404, b'{"error":"Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
        return found

    def _facts(self, name, data):
        told = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} | self.hub.announced.get(name, {})
        facts = {"size": told["size"], "oid": git_hash(data), "blobId": git_hash(data)}
        if name.endswith((".safetensors", ".bin")):
            facts["lfs"] = {"sha256": told["sha256"], "oid": told["sha256"], "size": told["size"], "pointerSize": 134}
        return facts

    def _listing(self, name, revision):
        found = self._found(name, revision)
        if found is not None:
            siblings = [{"rfilename": file, **self._facts(file, data)} for file, data in found[1].items()]
            self.reply(
                200,
                json.dumps({"id": name, "modelId": name, "sha": found[0], "siblings": siblings}).encode(),
                {"Content-Type": "application/json"},
            )

    def _tree(self, name, revision):
        found = self._found(name, revision)
        if found is not None:
            rows = [{"type": "file", "path": file, **self._facts(file, data)} for file, data in found[1].items()]
            self.reply(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name, revision, file):
        found = self._found(name, revision)
        if found is None:
            return
        commit, files = found
        if file not in files:
            self.reply(404, b"Entry not found", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        facts = self._facts(file, files[file])
        if "lfs" in facts:
            linked = {"X-Linked-Etag": f'"{facts["lfs"]["sha256"]}"', "X-Linked-Size": str(facts["size"])}
            place = f"{self.hub.storage_url}/{name}/{commit}/{file}"
            self.reply(302, b"", {"X-Repo-Commit": commit, "Location": place, **linked})
        else:
            self.send_content(files[file], {"X-Repo-Commit": commit, "ETag": f'"{facts["oid"]}"'})


class Storage(_Handler):
    """The storage of large files; another host."""

    role = "storage"

    def respond(self, path):
        owner, name, commit, file = path.strip("/").split("/")
        self.send_content(self.hub.find(f"{owner}/{name}", commit)[1][file])


# Faults


def content(handler, path):
    """The content of the file that a path names, on either server."""
    parts = path.strip("/").split("/")
    return handler.hub.find("/".join(parts[:2]), parts[-2])[1][parts[-1]]


def cut(after):
    """Close the connection after so many bytes."""
    return lambda handler, path: handler.send_content(content(handler, path), upto=after)


def status(code, **headers):
    """Answer without content."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler, _path: handler.reply(code, b"{}", named)


def other_bytes(handler, path):
    """Send other bytes of the right length."""
    handler.send_content(bytes(len(content(handler, path))))


def other_length(handler, path):
    """Send too few bytes, and announce only those."""
    handler.send_content(content(handler, path)[:-100])


def no_ranges(handler, path):
    """Send the whole file, whatever range was requested."""
    handler.send_content(content(handler, path), ranges=False)


def to(url):
    """Redirect to a URL."""
    return lambda handler, _path: handler.reply(302, b"", {"Location": url})


@contextmanager
def running():
    hub = Hub()
    try:
        yield hub
    finally:
        hub.close()
