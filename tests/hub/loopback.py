"""A Hub on this machine: as much of its protocol as uploads and downloads of repositories need, all in memory."""

import base64
import fnmatch
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

TOKENS = {"hf_me": "me", "hf_other": "other", "hf_reader": "me"}
READERS = {"hf_reader"}
LARGE = ("*.safetensors", "*.png", "*.bin")
REPOSITORY = r"/api/(?P<kind>models|spaces)/(?P<name>[^/]+/[^/]+)"
FILE_OF_REPOSITORY = r"/(?P<space>spaces/)?(?P<name>[^/]+/[^/]+)"


@dataclass
class Repository:
    """Commits are whole trees by their id, in the order in which they were made; refs name some of them."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        contents = [path.encode() + b"\0" + files[path] for path in sorted(files)]
        oid = hashlib.sha1(b"\0".join([str(len(self.commits)).encode(), *contents])).hexdigest()
        self.commits[oid] = files
        self.refs["main"] = oid
        return oid

    def resolve(self, revision: str) -> str | None:
        return self.refs.get(revision, revision if revision in self.commits else None)

    @property
    def files(self) -> dict[str, bytes]:
        """What is in main."""
        return self.commits[self.refs["main"]]


class LoopbackHub(ThreadingHTTPServer):
    """
    `repositories` by kind and name (`("models", "me/name")`), `objects` of large files by their SHA-256.

    The connection is cut at a large file once `uploads_before_cut` others have been received; `None` never cuts it.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.uploads_before_cut: int | None = None
        self.uploads: list[str] = []
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """A connection that is cut is what tests ask for."""

    def create(self, kind: str, name: str, private: bool = False, files: dict[str, bytes] | None = None) -> Repository:
        repository = self.repositories[kind, name] = Repository(private)
        repository.commit({".gitattributes": b""} | (files or {}))
        return repository


def git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def etag(path: str, content: bytes) -> str:
    return hashlib.sha256(content).hexdigest() if is_large(path) else git_id(content)


def is_large(path: str) -> bool:
    return any(fnmatch.fnmatch(path, pattern) for pattern in LARGE)


class Refused(Exception):
    def __init__(self, status: int, message: str, code: str = ""):
        self.status, self.message, self.code = status, message, code


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LoopbackHub

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        self.route("GET")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.route("POST")

    def do_PUT(self) -> None:
        self.route("PUT")

    def route(self, method: str) -> None:
        self.path_only = unquote(urlparse(self.path).path)
        size = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(size) if method != "PUT" else b""
        try:
            for wanted, pattern, answer in ROUTES:
                if wanted == method and (found := re.fullmatch(pattern, self.path_only)):
                    with self.server.lock:
                        answer(self, **found.groupdict())
                    return
            raise Refused(404, f"no route {method} {self.path_only}")
        except Refused as refusal:
            headers = {"X-Error-Message": refusal.message} | ({"X-Error-Code": refusal.code} if refusal.code else {})
            self.answer({"error": refusal.message}, refusal.status, headers)

    def answer(self, content, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    # Who asks, and for what.

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    @property
    def user(self) -> str | None:
        if self.token and self.token not in TOKENS:
            raise Refused(401, "Invalid credentials in Authorization header")
        return TOKENS.get(self.token)

    def repository(self, kind: str, name: str, write: bool = False) -> Repository:
        repository = self.server.repositories.get((kind, name))
        is_own = self.user == name.partition("/")[0] and not (write and self.token in READERS)
        if repository is None or (repository.private and not is_own):
            raise Refused(404, "Repository not found", "RepoNotFound")
        if write and not is_own:
            raise Refused(403, f"You don't have write access to {name}")
        return repository

    def tree(self, repository: Repository, revision: str) -> tuple[str, dict[str, bytes]]:
        oid = repository.resolve(revision)
        if oid is None:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return oid, repository.commits[oid]

    # Answers, in the order of a push and a pull.

    def whoami(self) -> None:
        if self.user is None:
            raise Refused(401, "Invalid username or password.")
        access = {"displayName": "a token", "role": "read" if self.token in READERS else "write"}
        self.answer({"name": self.user, "type": "user", "orgs": [], "auth": {"accessToken": access}})

    def create(self) -> None:
        asked = json.loads(self.body)
        owner = asked["organization"] or self.user
        if self.user is None or owner != self.user or self.token in READERS:
            raise Refused(401 if self.user is None else 403, f"You don't have the rights to create {owner}'s repos")
        kind, name = asked.get("type", "model") + "s", f"{owner}/{asked['name']}"
        prefix = "spaces/" if kind == "spaces" else ""
        url = {"url": f"{self.server.address}/{prefix}{name}"}
        if (kind, name) in self.server.repositories:
            return self.answer({"error": "You already created this repo"} | url, 409)
        # huggingface_hub says `private` in its lower versions, and `visibility` in its newer ones
        self.server.create(kind, name, asked.get("visibility") == "private" or bool(asked.get("private")))
        self.answer(url)

    def info(self, kind: str, name: str, revision: str | None = None) -> None:
        repository = self.repository(kind, name)
        oid, files = self.tree(repository, revision or "main")
        siblings = [{"rfilename": path} for path in files]
        self.answer({"id": name, "sha": oid, "private": repository.private, "siblings": siblings, "tags": []})

    def list_refs(self, kind: str, name: str) -> None:
        refs = self.repository(kind, name).refs.items()
        tags = [{"name": k, "ref": f"refs/tags/{k}", "targetCommit": oid} for k, oid in refs if k != "main"]
        self.answer({"branches": [], "converts": [], "tags": tags})

    def list_tree(self, kind: str, name: str, revision: str) -> None:
        _, files = self.tree(self.repository(kind, name), revision)
        self.answer([{"type": "file", "path": p, "oid": git_id(c), "size": len(c)} for p, c in files.items()])

    def validate_card(self) -> None:
        self.answer({"errors": [], "warnings": []})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        _, files = self.tree(self.repository(kind, name, write=True), revision)
        answers = []
        for file in json.loads(self.body)["files"]:
            path = file["path"]
            known = {"oid": etag(path, files[path])} if path in files else {}
            mode = "lfs" if is_large(path) else "regular"
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False} | known)
        self.answer({"files": answers})

    def list_objects(self, space: str | None, name: str) -> None:
        self.repository("spaces" if space else "models", name, write=True)
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            place = {"href": f"{self.server.address}/objects/{wanted['oid']}"}
            missing = {} if wanted["oid"] in self.server.objects else {"actions": {"upload": place}}
            objects.append({"oid": wanted["oid"], "size": wanted["size"]} | missing)
        self.answer({"objects": objects, "transfer": "basic"})

    def receive_object(self, oid: str) -> None:
        if self.server.uploads_before_cut is not None and len(self.server.uploads) >= self.server.uploads_before_cut:
            self.rfile.read(1)
            self.close_connection = True
            self.connection.close()
            raise ConnectionResetError("cut")
        content = self.rfile.read(int(self.headers["Content-Length"]))
        assert hashlib.sha256(content).hexdigest() == oid
        self.server.objects[oid] = content
        self.server.uploads.append(oid)
        self.answer({})

    def receive_commit(self, kind: str, name: str, revision: str) -> None:
        repository = self.repository(kind, name, write=True)
        files = dict(self.tree(repository, revision)[1])
        for line in self.body.splitlines():
            key, value = (part := json.loads(line))["key"], part["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        oid = repository.commit(files)
        self.answer({"commitUrl": f"{self.server.address}/{name}/commit/{oid}", "commitOid": oid})

    def tag(self, kind: str, name: str, revision: str) -> None:
        repository, tag = self.repository(kind, name, write=True), json.loads(self.body)["tag"]
        if tag in repository.refs:
            raise Refused(409, f"Tag {tag} already exists")
        repository.refs[tag] = self.tree(repository, revision)[0]
        self.answer({})

    def set_variable(self, kind: str, name: str) -> None:
        asked = json.loads(self.body)
        self.repository(kind, name, write=True).variables[asked["key"]] = asked["value"]
        self.answer({asked["key"]: {"value": asked["value"]}})

    def send_file(self, space: str | None, name: str, revision: str, path: str) -> None:
        oid, files = self.tree(self.repository("spaces" if space else "models", name), revision)
        if path not in files:
            raise Refused(404, "Entry not found", "EntryNotFound")
        self.answer(files[path], headers={"X-Repo-Commit": oid, "ETag": f'"{etag(path, files[path])}"'})


ROUTES = [
    ("GET", "/api/whoami-v2", Handler.whoami),
    ("POST", "/api/repos/create", Handler.create),
    ("GET", REPOSITORY, Handler.info),
    ("GET", REPOSITORY + r"/revision/(?P<revision>.+)", Handler.info),
    ("GET", REPOSITORY + "/refs", Handler.list_refs),
    ("GET", REPOSITORY + r"/tree/(?P<revision>[^/]+)", Handler.list_tree),
    ("POST", "/api/validate-yaml", Handler.validate_card),
    ("POST", REPOSITORY + r"/preupload/(?P<revision>.+)", Handler.preupload),
    ("POST", FILE_OF_REPOSITORY + r"\.git/info/lfs/objects/batch", Handler.list_objects),
    ("PUT", r"/objects/(?P<oid>\w+)", Handler.receive_object),
    ("POST", REPOSITORY + r"/commit/(?P<revision>.+)", Handler.receive_commit),
    ("POST", REPOSITORY + r"/tag/(?P<revision>.+)", Handler.tag),
    ("POST", REPOSITORY + "/variables", Handler.set_variable),
    ("GET", FILE_OF_REPOSITORY + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.send_file),
]
