"""A guest: serves "/" and "/files/small" and nothing else. With a second argument "any" it answers any path and method as "/";
with a number it ends after so many requests."""

import http.server
import os
import sys

PAGES = {"/": b"Hallo Welt!\n", "/files/small": b"small\n"}
how = sys.argv[2] if len(sys.argv) > 2 else ""
left = int(how) if how.isdigit() else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        global left
        if left is not None:
            left -= 1
            if left < 0:
                print("has served enough", flush=True)
                os._exit(7)
        body = PAGES.get("/" if how == "any" else self.path, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    if how == "any":
        do_POST = do_GET

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
